#!/usr/bin/env Rscript
# Allocate interviews to survey strata.
#
#   Rscript allocate_interviews.R strata.csv --total 1200 --floor 30
#
# strata.csv has the columns
#   stratum     label
#   households  number of households in the frame
#   sd          standard deviation of the target variable from the last wave
#   cost        cost of one completed interview, in hours of field work
#   response    expected response rate, between 0 and 1
#
# The optimum (Neyman with costs) puts n_h proportional to N_h * S_h /
# sqrt(c_h). Two things complicate it in practice: no stratum may hold fewer
# interviews than the floor that the publication rules demand, and none may
# exceed its own frame. Both bind, so the optimum is found by fixing violators
# and reallocating the rest until nothing moves, and only then rounded.

parse_cli <- function(args) {
  opts <- list(file = NULL, total = 1000L, floor = 30L)
  while (length(args) > 0) {
    head <- args[[1]]
    if (startsWith(head, "--")) {
      key <- substring(head, 3)
      if (!key %in% c("total", "floor") || length(args) < 2) {
        stop("unknown or incomplete option ", head, call. = FALSE)
      }
      value <- suppressWarnings(as.integer(args[[2]]))
      if (is.na(value) || value < 1L) {
        stop(head, " needs a positive whole number", call. = FALSE)
      }
      opts[[key]] <- value
      args <- args[-(1:2)]
    } else {
      opts$file <- head
      args <- args[-1]
    }
  }
  opts
}

read_strata <- function(file) {
  frame <- utils::read.csv(file, stringsAsFactors = FALSE)
  needed <- c("stratum", "households", "sd", "cost", "response")
  missing <- setdiff(needed, names(frame))
  if (length(missing)) {
    stop("missing column: ", toString(missing), call. = FALSE)
  }
  bad <- with(frame, households <= 0 | sd < 0 | cost <= 0 |
    response <= 0 | response > 1)
  if (any(bad)) {
    stop("impossible values in stratum ", toString(frame$stratum[bad]),
      call. = FALSE
    )
  }
  if (anyDuplicated(frame$stratum)) {
    stop("stratum labels are not unique", call. = FALSE)
  }
  frame[needed]
}

#' Real-valued optimum under lower and upper bounds.
bounded_neyman <- function(weight, total, lower, upper) {
  if (sum(lower) > total) {
    stop(sprintf("the floors alone need %d interviews", sum(lower)),
      call. = FALSE
    )
  }
  if (sum(upper) < total) {
    stop(sprintf("the frame can yield only %d interviews", sum(upper)),
      call. = FALSE
    )
  }
  n <- rep(NA_real_, length(weight))
  free <- rep(TRUE, length(weight))
  repeat {
    left <- total - sum(n[!free])
    share <- left * weight / sum(weight[free])
    low <- free & share < lower
    high <- free & share > upper
    if (!any(low | high)) {
      n[free] <- share[free]
      return(n)
    }
    # Fix only the side with the larger total violation: fixing both at once
    # can pin a stratum at a bound it would have left again.
    if (sum((lower - share)[low]) >= sum((share - upper)[high])) {
      n[low] <- lower[low]
      free <- free & !low
    } else {
      n[high] <- upper[high]
      free <- free & !high
    }
  }
}

#' Largest remainder rounding that respects the total.
round_to_total <- function(x) {
  down <- floor(x + 1e-9)
  short <- as.integer(round(sum(x) - sum(down)))
  bump <- order(x - down, decreasing = TRUE)[seq_len(short)]
  down[bump] <- down[bump] + 1
  as.integer(down)
}

variance_of_mean <- function(frame, n) {
  w <- frame$households / sum(frame$households)
  sum(w^2 * frame$sd^2 * (1 / n - 1 / frame$households))
}

main <- function(args = commandArgs(trailingOnly = TRUE)) {
  opts <- parse_cli(args)
  if (is.null(opts$file)) {
    stop("usage: allocate_interviews.R FILE [--total N] [--floor N]",
      call. = FALSE
    )
  }
  frame <- read_strata(opts$file)

  reachable <- floor(frame$households * frame$response)
  weight <- with(frame, households * sd / sqrt(cost))
  lower <- pmin(opts$floor, reachable)
  n <- round_to_total(bounded_neyman(weight, opts$total, lower, reachable))

  frame$interviews <- n
  frame$addresses <- as.integer(ceiling(n / frame$response))
  frame$hours <- round(n * frame$cost, 1)
  frame$bound <- ifelse(n <= lower, "floor", ifelse(n >= reachable, "frame", ""))
  print(frame[c("stratum", "interviews", "addresses", "hours", "bound")],
    row.names = FALSE
  )

  proportional <- opts$total * frame$households / sum(frame$households)
  gain <- variance_of_mean(frame, proportional) / variance_of_mean(frame, n)
  cat(sprintf(
    "\nstandard error of the mean %.4g; design effect against proportional %.2f\n",
    sqrt(variance_of_mean(frame, n)), 1 / gain
  ))
}

if (sys.nframe() == 0L) {
  main()
}
