#' Sequential drift monitoring for laboratory control samples
#'
#' A chemistry analyser measures the same control material every morning.
#' These functions decide, from that series, whether the analyser has drifted,
#' and estimate when it began. Limits are found by simulation for a stated
#' false alarm rate, since the textbook constants assume that the mean and the
#' standard deviation are known and here they come from twenty baseline runs.
#'
#' @examples
#' set.seed(3)
#' x <- c(rnorm(20, 5.1, 0.08), rnorm(15, 5.1, 0.08), rnorm(25, 5.18, 0.08))
#' fit <- drift_monitor(x, baseline = 20)
#' fit
#' summary(fit)

drift_monitor <- function(x, baseline = 20L, lambda = 0.2,
                          false_alarm_every = 200, n_sim = 2000L) {
  stopifnot(
    is.numeric(x), !anyNA(x),
    baseline >= 10L, length(x) > baseline,
    lambda > 0, lambda <= 1
  )
  base <- x[seq_len(baseline)]
  centre <- mean(base)
  # Moving ranges see only day-to-day scatter, so that a slow trend within the
  # baseline itself does not widen the limits that should have caught it.
  spread <- mean(abs(diff(base))) / 1.128

  limit <- calibrate(baseline, lambda, false_alarm_every, n_sim)
  z <- (x - centre) / spread
  smooth <- ewma(z[-seq_len(baseline)], lambda)

  first <- which(abs(smooth) > limit)[1]
  onset <- if (is.na(first)) NA_integer_ else change_point(z, baseline, first)

  structure(
    list(
      x = x, z = z, ewma = smooth, baseline = baseline,
      centre = centre, spread = spread, limit = limit, lambda = lambda,
      alarm = if (is.na(first)) NA_integer_ else baseline + first,
      onset = onset
    ),
    class = "drift_monitor"
  )
}

ewma <- function(z, lambda) {
  as.numeric(stats::filter(lambda * z, 1 - lambda, method = "recursive"))
}

#' Control limit with the requested in-control average run length.
#'
#' Simulates whole monitoring careers, baseline included. The run length is
#' censored at five times the target; the median of a geometric variable is
#' then used in place of the mean, which censoring would bias.
calibrate <- function(baseline, lambda, every, n_sim) {
  horizon <- as.integer(ceiling(5 * every))
  peaks <- vapply(seq_len(n_sim), function(i) {
    base <- stats::rnorm(baseline)
    s <- mean(abs(diff(base))) / 1.128
    z <- (stats::rnorm(horizon) - mean(base)) / s
    path <- abs(ewma(z, lambda))
    # Largest excursion up to the median of a geometric run length.
    max(path[seq_len(ceiling(log(0.5) / log1p(-1 / every)))])
  }, numeric(1))
  stats::quantile(peaks, 0.5, names = FALSE)
}

#' Most likely day of onset, by profile likelihood for a single shift.
change_point <- function(z, baseline, first) {
  window <- z[baseline + seq_len(first)]
  n <- length(window)
  # Gain in log likelihood when days k..n have their own mean.
  tail_sum <- rev(cumsum(rev(window)))
  gain <- tail_sum^2 / (2 * (n - seq_len(n) + 1))
  baseline + which.max(gain)
}

#' @export
print.drift_monitor <- function(x, digits = 3, ...) {
  cat(sprintf(
    "Drift monitor: %d runs after a baseline of %d (mean %s, sd %s)\n",
    length(x$ewma), x$baseline,
    format(x$centre, digits = digits), format(x$spread, digits = digits)
  ))
  if (is.na(x$alarm)) {
    cat("No alarm.\n")
  } else {
    cat(sprintf(
      "ALARM at run %d; the shift most likely began at run %d.\n",
      x$alarm, x$onset
    ))
  }
  invisible(x)
}

#' @export
summary.drift_monitor <- function(object, ...) {
  after <- if (is.na(object$onset)) {
    integer(0)
  } else {
    seq(object$onset, length(object$x))
  }
  shift <- mean(object$x[after]) - object$centre
  se <- object$spread * sqrt(1 / length(after) + 1 / object$baseline)
  data.frame(
    alarm = object$alarm,
    onset = object$onset,
    delay = object$alarm - object$onset,
    shift = if (length(after)) shift else NA_real_,
    lower = if (length(after)) shift - 1.96 * se else NA_real_,
    upper = if (length(after)) shift + 1.96 * se else NA_real_
  )
}

#' @export
plot.drift_monitor <- function(x, ...) {
  run <- x$baseline + seq_along(x$ewma)
  span <- max(abs(x$ewma), x$limit) * 1.1
  plot(run, x$ewma,
    type = "o", pch = 16, cex = 0.6, ylim = c(-span, span),
    xlab = "run", ylab = "EWMA of standardised control", ...
  )
  abline(h = c(-x$limit, 0, x$limit), lty = c(2, 1, 2), col = "grey40")
  if (!is.na(x$alarm)) {
    abline(v = x$onset, col = "steelblue")
    points(x$alarm, x$ewma[x$alarm - x$baseline], col = "firebrick", cex = 2)
  }
  invisible(x)
}
