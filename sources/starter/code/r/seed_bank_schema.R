# A small S4 model of a seed bank: accessions, germination tests, and the
# decision when to regenerate a lot. Viability falls along a probit line in
# storage time (the seed viability equation),
#
#   probit(v) = Ki - p / sigma,   log10(sigma) = Ke - Cw log10(m) - Ch t - Cq t^2
#
# with moisture m in percent of fresh weight, temperature t in degrees Celsius
# and storage period p in days.

library(methods)

setClass("StorageRegime",
  slots = c(name = "character", temperature = "numeric", moisture = "numeric"),
  validity = function(object) {
    problems <- character()
    if (object@moisture < 2 || object@moisture > 16) {
      problems <- c(problems, "the equation holds for 2 to 16 % moisture")
    }
    if (object@temperature < -20 || object@temperature > 90) {
      problems <- c(problems, "the equation holds for -20 to 90 degrees")
    }
    if (length(problems)) problems else TRUE
  }
)

setClass("SpeciesConstants",
  slots = c(species = "character", Ke = "numeric", Cw = "numeric",
            Ch = "numeric", Cq = "numeric")
)

setClass("GerminationTest",
  slots = c(day = "numeric", sown = "numeric", germinated = "numeric"),
  validity = function(object) {
    if (any(object@germinated > object@sown)) {
      return("more seeds germinated than were sown")
    }
    if (is.unsorted(object@day)) "tests must be in order of time" else TRUE
  }
)

setClass("Accession",
  slots = c(id = "character", constants = "SpeciesConstants",
            regime = "StorageRegime", tests = "GerminationTest",
            origin = "character"),
  prototype = prototype(origin = "unknown")
)

setGeneric("sigma_days", function(constants, regime) standardGeneric("sigma_days"))
setMethod("sigma_days", signature("SpeciesConstants", "StorageRegime"),
  function(constants, regime) {
    t <- regime@temperature
    10^(constants@Ke - constants@Cw * log10(regime@moisture) -
      constants@Ch * t - constants@Cq * t^2)
  }
)

#' Estimate Ki from the tests with the slope held at its predicted value.
#'
#' With one or two tests a lot cannot support a slope of its own, so the slope
#' enters as an offset and only the intercept is fitted.
setGeneric("initial_quality", function(x, ...) standardGeneric("initial_quality"))
setMethod("initial_quality", "Accession", function(x, ...) {
  tests <- x@tests
  sigma <- sigma_days(x@constants, x@regime)
  fit <- stats::glm(
    cbind(germinated, sown - germinated) ~ 1 + offset(-day / sigma),
    family = stats::binomial("probit"),
    data = data.frame(day = tests@day, sown = tests@sown,
                      germinated = tests@germinated)
  )
  estimate <- unname(stats::coef(fit))
  se <- sqrt(stats::vcov(fit)[1, 1])
  c(Ki = estimate, lower = estimate - 1.96 * se, upper = estimate + 1.96 * se)
})

setGeneric("years_until", function(x, viability, ...) standardGeneric("years_until"))
setMethod("years_until", signature("Accession", "numeric"),
  function(x, viability, ...) {
    stopifnot(viability > 0, viability < 1)
    sigma <- sigma_days(x@constants, x@regime)
    (initial_quality(x) - stats::qnorm(viability)) * sigma / 365.25
  }
)

#' Moving a lot to a better store changes sigma, not the ageing behind it: the
#' probit lost so far is carried over as a lower Ki.
setGeneric("transfer", function(x, regime, day) standardGeneric("transfer"))
setMethod("transfer", signature("Accession", "StorageRegime", "numeric"),
  function(x, regime, day) {
    before <- sigma_days(x@constants, x@regime)
    after <- sigma_days(x@constants, regime)
    shifted <- x@tests
    # An equivalent test history under the new regime, as seen from `day`.
    shifted@day <- (x@tests@day - day) * after / before
    x@tests <- shifted
    x@regime <- regime
    x
  }
)

setMethod("show", "Accession", function(object) {
  ki <- initial_quality(object)
  cat(sprintf("<%s> %s from %s, stored in %s\n", object@id,
              object@constants@species, object@origin, object@regime@name))
  cat(sprintf("  initial viability %.1f %% (%.1f to %.1f)\n",
              100 * pnorm(ki[["Ki"]]), 100 * pnorm(ki[["lower"]]),
              100 * pnorm(ki[["upper"]])))
  left <- years_until(object, 0.85)
  cat(sprintf("  falls below 85 %% after %.1f years (no sooner than %.1f)\n",
              left[["Ki"]], left[["lower"]]))
})

# -- a worked case: a bench-dry lot, then the same lot in the cold store --------

if (sys.nframe() == 0L) {
  barley <- new("SpeciesConstants", species = "barley",
                Ke = 9.983, Cw = 5.896, Ch = 0.040, Cq = 0.000428)
  bench <- new("StorageRegime", name = "bench", temperature = 20, moisture = 9)
  vault <- new("StorageRegime", name = "vault", temperature = -18, moisture = 5.5)
  lot <- new("Accession", id = "HV-0417", constants = barley, regime = bench,
             origin = "Upper Terrace",
             tests = new("GerminationTest", day = c(0, 400, 800),
                         sown = c(200, 200, 200), germinated = c(195, 193, 188)))
  print(lot)
  print(transfer(lot, vault, day = 800))
  rejected <- try(new("StorageRegime", name = "wet", temperature = 5, moisture = 25),
                  silent = TRUE)
  cat(attr(rejected, "condition")$message, "\n")
}
