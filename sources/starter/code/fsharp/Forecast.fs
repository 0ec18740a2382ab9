/// Seasonal forecasting by triple exponential smoothing (Holt-Winters), with the
/// smoothing weights fitted by a Nelder-Mead search and prediction intervals
/// taken from the residuals.
module Retail.Forecast

open System

type Seasonality =
    | Additive
    | Multiplicative

type Weights =
    { Level: float
      Trend: float
      Season: float
      /// Below 1, the trend flattens out in the far future.
      Damping: float }

type Model =
    { Kind: Seasonality
      Weights: Weights
      Level: float
      Trend: float
      /// One value per phase of the period; the next one to use comes first.
      Seasons: float list
      Residuals: float[] }

type Prediction = { Ahead: int; Mean: float; Low: float; High: float }

// --- Smoothing ------------------------------------------------------------------

let private combine kind baseline season =
    match kind with
    | Additive -> baseline + season
    | Multiplicative -> baseline * season

let private remove kind value season =
    match kind with
    | Additive -> value - season
    | Multiplicative -> value / season

/// Level, trend and seasons from the first two periods.
let private start kind period (series: float[]) =
    let first, second = series.[.. period - 1], series.[period .. 2 * period - 1]
    let level = Array.average first
    let trend = (Array.average second - level) / float period
    let seasons =
        Array.map2 (fun a b -> remove kind a level, remove kind b (level + trend * float period)) first second
        |> Array.map (fun (a, b) -> (a + b) / 2.0)
        |> Array.toList
    level, trend, seasons

let smooth kind period (w: Weights) (series: float[]) : Model =
    let level, trend, seasons = start kind period series
    let step (model: Model, residuals) actual =
        match model.Seasons with
        | [] -> invalidOp "a model has at least one season"
        | season :: later ->
            let drift = w.Damping * model.Trend
            let residual = actual - combine kind (model.Level + drift) season
            let level = w.Level * remove kind actual season + (1.0 - w.Level) * (model.Level + drift)
            let trend = w.Trend * (level - model.Level) + (1.0 - w.Trend) * drift
            let season' = w.Season * remove kind actual level + (1.0 - w.Season) * season
            { model with Level = level; Trend = trend; Seasons = later @ [ season' ] }, residual :: residuals
    let blank = { Kind = kind; Weights = w; Level = level; Trend = trend; Seasons = seasons; Residuals = [||] }
    let model, residuals = Array.fold step (blank, []) series
    // The first period was used for the start values and says little.
    { model with Residuals = residuals |> List.rev |> List.skip period |> List.toArray }

let private squaredError (model: Model) = model.Residuals |> Array.sumBy (fun r -> r * r)

// --- Fitting --------------------------------------------------------------------

/// Nelder-Mead simplex search; enough for a handful of smooth parameters.
let nelderMead (f: float[] -> float) (origin: float[]) spread rounds =
    let n = origin.Length
    let along (a: float[]) (b: float[]) t = Array.map2 (fun x y -> x + t * (y - x)) a b
    let scored x = x, f x
    let corner i = origin |> Array.mapi (fun j v -> if i = j then v + spread else v)
    let rec go round simplex =
        let simplex = simplex |> List.sortBy snd
        let best, bestScore = List.head simplex
        let worst, worstScore = List.last simplex
        if round = 0 || worstScore - bestScore < 1e-9 * (1.0 + abs bestScore) then
            best, bestScore
        else
            let kept = simplex |> List.take n
            let centre = Array.init n (fun j -> kept |> List.averageBy (fun (x: float[], _) -> x.[j]))
            let reflected = scored (along worst centre 2.0)
            let secondWorst = snd kept.[n - 1]
            let next =
                if snd reflected < bestScore then
                    List.minBy snd [ reflected; scored (along worst centre 3.0) ] :: kept
                elif snd reflected < secondWorst then
                    reflected :: kept
                else
                    let inner = scored (along worst centre 0.5)
                    if snd inner < worstScore then inner :: kept
                    else simplex |> List.map (fun (x, _) -> scored (along best x 0.5))
            go (round - 1) next
    go rounds (scored origin :: List.init n (corner >> scored))

/// The search is unbounded, the weights are not: a logistic curve lies between.
let private logistic x = 1.0 / (1.0 + exp -x)

let private weights (x: float[]) =
    { Level = logistic x.[0]
      Trend = logistic x.[1]
      Season = logistic x.[2]
      Damping = 0.8 + 0.2 * logistic x.[3] }

let fit kind period (series: float[]) : Result<Model, string> =
    if series.Length < 2 * period + 1 then
        Error(sprintf "need more than two periods, that is %d values, got %d" (2 * period) series.Length)
    elif kind = Multiplicative && Array.exists (fun v -> v <= 0.0) series then
        Error "a multiplicative season needs positive values"
    else
        let error x =
            let e = smooth kind period (weights x) series |> squaredError
            if Double.IsNaN e then infinity else e
        let best, _ = nelderMead error [| -1.0; -2.0; -1.0; 1.0 |] 0.7 400
        Ok(smooth kind period (weights best) series)

/// Fits both kinds and keeps the one with the smaller error.
let fitBest period series =
    match fit Additive period series, fit Multiplicative period series with
    | Ok a, Ok b -> Ok(List.minBy squaredError [ a; b ])
    | Ok m, Error _
    | Error _, Ok m -> Ok m
    | Error e, Error _ -> Error e

// --- Predicting -----------------------------------------------------------------

let predict horizon (model: Model) : Prediction list =
    let sorted = Array.sort model.Residuals
    let quantile p = sorted.[int (p * float (sorted.Length - 1))]
    let period = List.length model.Seasons
    let rec drift h =
        if h = 0 then 0.0 else drift (h - 1) + model.Trend * model.Weights.Damping ** float h
    [ for h in 1..horizon do
          let mean = combine model.Kind (model.Level + drift h) model.Seasons.[(h - 1) % period]
          // Errors add up: the interval widens with the root of the distance.
          let widen = sqrt (1.0 + model.Weights.Level ** 2.0 * float (h - 1))
          { Ahead = h; Mean = mean; Low = mean + widen * quantile 0.05; High = mean + widen * quantile 0.95 } ]
