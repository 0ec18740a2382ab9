# Acoustic survey of a reed bed: from hydrophone recordings to a table of
# nightly activity per species guild, with uncertainty that respects the fact
# that consecutive minutes are not independent.
#
# Input is one data frame of detections, as the classifier writes them:
#
#   recorder  start (POSIXct)      seconds  guild     score
#   R2        2034-05-11 21:14:03     1.8   "bittern"  0.91
#
# Base R only, with the native pipe.

#' Expand detections to a complete recorder-by-minute grid.
#'
#' Minutes with no detection are data, not gaps. Minutes in which the recorder
#' was off are gaps, and come from `schedule` (recorder, from, to).
minute_grid <- function(detections, schedule, threshold = 0.7) {
  stopifnot(inherits(detections$start, "POSIXct"))
  minutes <- schedule |>
    split(seq_len(nrow(schedule))) |>
    lapply(\(row) data.frame(
      recorder = row$recorder,
      minute = seq(row$from, row$to - 60, by = "1 min")
    )) |>
    do.call(what = rbind)

  kept <- subset(detections, score >= threshold)
  kept$minute <- as.POSIXct(trunc(kept$start, units = "mins"))
  orphan <- !paste(kept$recorder, kept$minute) %in%
    paste(minutes$recorder, minutes$minute)
  if (any(orphan)) {
    warning(sum(orphan), " detections fall outside the recording schedule")
    kept <- kept[!orphan, ]
  }

  counts <- kept |>
    xtabs(formula = ~ paste(recorder, minute) + guild) |>
    as.data.frame.matrix()
  grid <- counts[match(paste(minutes$recorder, minutes$minute),
                       rownames(counts)), , drop = FALSE]
  grid[is.na(grid)] <- 0L
  rownames(grid) <- NULL
  cbind(minutes, grid)
}

#' Night label: the date of the evening on which the night began.
night_of <- function(minute, tz = "UTC") {
  as.Date(minute - 12 * 3600, tz = tz)
}

#' Stationary bootstrap of a statistic of a series.
#'
#' Blocks have geometric lengths with the given mean, and the series is taken
#' to be circular, so every minute is equally likely to be drawn.
stationary_bootstrap <- function(x, statistic, mean_block = 15, reps = 500) {
  n <- length(x)
  one <- function() {
    fresh <- c(TRUE, runif(n - 1) < 1 / mean_block)
    starts <- sample.int(n, sum(fresh), replace = TRUE)
    block <- cumsum(fresh)
    within <- sequence(rle(block)$lengths) - 1L
    statistic(x[(starts[block] + within - 1L) %% n + 1L])
  }
  replicate(reps, one())
}

#' First lag at which the autocorrelation is no longer significant, used as a
#' rule of thumb for the mean block length.
block_length <- function(x, max_lag = 120) {
  if (length(unique(x)) < 2) {
    return(1)
  }
  r <- acf(x, lag.max = min(max_lag, length(x) - 1), plot = FALSE)$acf[-1]
  quiet <- which(abs(r) < 1.96 / sqrt(length(x)))
  if (length(quiet)) max(1, 2 * quiet[1]) else max_lag
}

summarise_nights <- function(grid, guilds, reps = 500) {
  pieces <- split(grid, list(grid$recorder, night_of(grid$minute)), drop = TRUE)
  rows <- lapply(pieces, function(piece) {
    lapply(guilds, function(g) {
      active <- as.integer(piece[[g]] > 0)
      draws <- stationary_bootstrap(active, mean,
        mean_block = block_length(active), reps = reps
      )
      ci <- quantile(draws, c(0.05, 0.95), names = FALSE)
      data.frame(
        recorder = piece$recorder[1],
        night = night_of(piece$minute[1]),
        guild = g,
        minutes = nrow(piece),
        activity = mean(active),
        lower = ci[1],
        upper = ci[2]
      )
    })
  })
  out <- do.call(rbind, unlist(rows, recursive = FALSE))
  rownames(out) <- NULL
  out[order(out$guild, out$recorder, out$night), ]
}

#' Synthetic night for checking the pipeline: calling comes in bouts, which a
#' two-state Markov chain imitates well enough.
simulate_night <- function(recorder, from, minutes, p_start, p_stop) {
  calling <- logical(minutes)
  for (i in seq_len(minutes)[-1]) {
    calling[i] <- if (calling[i - 1]) runif(1) > p_stop else runif(1) < p_start
  }
  at <- which(calling)
  data.frame(
    recorder = rep(recorder, length(at)),
    start = from + 60 * (at - 1) + runif(length(at), 0, 59),
    seconds = round(rgamma(length(at), 4, 2), 1),
    guild = rep("bittern", length(at)),
    score = rbeta(length(at), 9, 2)
  )
}

if (sys.nframe() == 0L) {
  set.seed(88)
  dusk <- as.POSIXct("2034-05-11 20:30:00", tz = "UTC")
  schedule <- data.frame(
    recorder = c("R1", "R2"),
    from = dusk + c(0, 600),
    to = dusk + c(8, 7) * 3600
  )
  heard <- rbind(
    simulate_night("R1", dusk, 480, 0.02, 0.10),
    simulate_night("R2", dusk + 600, 400, 0.06, 0.15)
  )
  grid <- minute_grid(heard, schedule, threshold = 0.6)
  print(summarise_nights(grid, "bittern"), digits = 2, row.names = FALSE)
}
