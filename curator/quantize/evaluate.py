"""What quantizing cost: perplexity before and after, and the KL divergence of each token's prediction, on held-out samples.

It hides which samples are held out, how the predictions of a model that is no longer there are kept (its last hidden
states, from which they follow exactly), and how they are compared without ever holding a table of tokens x vocabulary.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from curator import pack
from curator.errors import QuantizeError, UsageError
from curator.quantize import library
from curator.quantize.data import Batch, Progress

if TYPE_CHECKING:
    import polars as pl
    import torch
    from numpy.typing import NDArray

POSITIONS, VOCABULARY = 1024, 8192  # logits held at a time: 32 MiB a model, whatever the sample and the model
PROBED = 32
LOGITS_AGREE = 1e-2  # of the largest logit; bfloat16 keeps 8 bits
RESAMPLES = 200
TAIL = 0.99


@dataclass(frozen=True, slots=True)
class Reference:
    """A model's predictions on the held-out samples, small enough to keep while the model is changed."""

    batches: tuple[Batch, ...]
    hidden: tuple[torch.Tensor, ...]  # for each sample [tokens, features], as they enter the output layer, on the CPU
    head: Head


@dataclass(frozen=True, slots=True)
class Head:
    """A model's output layer: logits = hidden @ weight.T + bias."""

    weight: torch.Tensor  # [vocabulary, features]
    bias: torch.Tensor | None


@dataclass(frozen=True, slots=True)
class Scores:
    """For each scored position, float64 [positions]; nats."""

    source_loss: NDArray[np.float64]  # of the token that follows, by the source model
    loss: NDArray[np.float64]  # the same by the quantized model
    kl: NDArray[np.float64]  # KL(source || quantized) over the vocabulary


def hold_out(samples: pl.DataFrame, count: int, *, seed: int) -> list[int]:
    """Numbers of ``count`` samples, each category with its share (largest remainders), chosen by ``seed``; ascending.

    ``samples`` is ``samples.parquet``. Raises UsageError where ``count`` leaves no sample to calibrate on.
    """
    if not 0 < count < len(samples):
        raise UsageError(f"--evaluate {count}: the build has {len(samples)} samples; hold out at least one, and leave at least one to calibrate on")
    by_category = {str(key[0]): sorted(part["sample"].to_list()) for key, part in samples.partition_by("category", as_dict=True).items()}
    names = sorted(by_category)
    quotas = pack.shares(count, [len(by_category[name]) for name in names])
    chance = random.Random(f"{seed}:evaluate:hold-out")
    return sorted(number for name, quota in zip(names, quotas, strict=True) for number in chance.sample(by_category[name], quota))


def reference(model: Any, batches: Sequence[Batch], *, progress: Progress | None = None) -> Reference:
    """What ``model`` predicts now. Raises QuantizeError where its logits are more than its output layer makes of its states."""
    _check_head(model, batches[0])
    hidden = []
    for done, batch in enumerate(batches, 1):
        hidden.append(_hidden(model, batch).to("cpu"))
        if progress:
            progress("predictions of the source model", done, len(batches))
    head = _head(model)
    bias = None if head.bias is None else head.bias.detach().to("cpu", copy=True)
    return Reference(tuple(batches), tuple(hidden), Head(head.weight.detach().to("cpu", copy=True), bias))


def compare(before: Reference, model: Any, *, progress: Progress | None = None) -> list[Scores]:
    """How the predictions of ``model`` differ from those kept: for each sample, at each of its ``scored`` positions."""
    scores = []
    for done, (batch, hidden) in enumerate(zip(before.batches, before.hidden, strict=True), 1):
        kept = scored(batch)
        now = _hidden(model, batch)
        wanted = batch.input_ids[0].to(now.device)[kept + 1]
        scores.append(divergence(hidden.to(now.device)[kept], before.head, now[kept], _head(model), wanted))
        if progress:
            progress("predictions of the quantized model", done, len(before.batches))
    return scores


def scored(batch: Batch) -> torch.Tensor:
    """The positions whose next token is of the same document: the last of a document has nothing of its own to predict."""
    return (batch.position_ids[0, 1:] != 0).nonzero()[:, 0]


def divergence(hidden: torch.Tensor, head: Head, other: torch.Tensor, other_head: Head, wanted: torch.Tensor) -> Scores:
    """Losses of ``wanted`` [positions] and KL(p || q), where p is what ``head`` makes of ``hidden`` [positions, features] and
    q what ``other_head`` makes of ``other``.

    Logits are float32 whatever the model's type, since in bfloat16 their rounding alone (0.06 at 16) is a KL of up to 2e-4. They are
    made in tiles, and summed up as they come, relative to the largest so far: with x and y the logits of p and q,
    KL = sum(exp(x) (x - y)) / sum(exp(x)) - log sum(exp(x)) + log sum(exp(y)).
    """
    import torch

    parts = []
    for start in range(0, len(hidden), POSITIONS):
        at = slice(start, start + POSITIONS)
        parts.append(_tile_row(hidden[at].float(), head, other[at].float(), other_head, wanted[at]))
    if not parts:
        return Scores(*(np.empty(0) for _ in range(3)))
    return Scores(*(torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True)))


def _tile_row(hidden: torch.Tensor, head: Head, other: torch.Tensor, other_head: Head, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    import torch

    top_p, top_q = (torch.full((len(hidden),), -torch.inf, dtype=torch.float64, device=hidden.device) for _ in range(2))
    sum_p, sum_q, gap, x_wanted, y_wanted = (torch.zeros(len(hidden), dtype=torch.float64, device=hidden.device) for _ in range(5))
    for start, x, y in _tiles(hidden, head, other, other_head):
        high_p, high_q = torch.maximum(top_p, x.amax(-1).double()), torch.maximum(top_q, y.amax(-1).double())
        exp_x = (x - high_p[:, None].float()).exp()
        fade_p, fade_q = (top_p - high_p).exp(), (top_q - high_q).exp()
        gap = gap * fade_p + (exp_x * (x - y)).sum(-1, dtype=torch.float64)
        sum_p = sum_p * fade_p + exp_x.sum(-1, dtype=torch.float64)
        sum_q = sum_q * fade_q + (y - high_q[:, None].float()).exp().sum(-1, dtype=torch.float64)
        top_p, top_q = high_p, high_q
        here = ((wanted >= start) & (wanted < start + x.shape[-1])).nonzero()[:, 0]
        x_wanted[here] = x[here, wanted[here] - start].double()
        y_wanted[here] = y[here, wanted[here] - start].double()
    log_p, log_q = top_p + sum_p.log(), top_q + sum_q.log()
    return log_p - x_wanted, log_q - y_wanted, gap / sum_p - log_p + log_q


def _tiles(hidden: torch.Tensor, head: Head, other: torch.Tensor, other_head: Head) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    for start in range(0, len(head.weight), VOCABULARY):
        part = slice(start, start + VOCABULARY)
        yield start, _logits(hidden, head, part), _logits(other, other_head, part)


def _logits(hidden: torch.Tensor, head: Head, part: slice) -> torch.Tensor:
    logits = hidden @ head.weight[part].to(hidden.device).float().T
    return logits if head.bias is None else logits + head.bias[part].to(hidden.device).float()


def _hidden(model: Any, batch: Batch) -> torch.Tensor:
    import torch

    with torch.no_grad():
        out: torch.Tensor = model.base_model(**batch.inputs(library.device_of(model)), use_cache=False).last_hidden_state[0]
    return out


def _head(model: Any) -> Head:
    layer = model.get_output_embeddings()
    if layer is None:
        raise QuantizeError("the model has no output layer; --evaluate needs one that predicts tokens")
    return Head(layer.weight.detach(), None if getattr(layer, "bias", None) is None else layer.bias.detach())


def _check_head(model: Any, batch: Batch) -> None:
    """Some families cap or scale their logits after the output layer; what is computed here would not be theirs."""
    import torch

    probe = Batch(batch.sample, batch.input_ids[:, :PROBED], batch.position_ids[:, :PROBED])
    with torch.no_grad():
        said = model(**probe.inputs(library.device_of(model)), use_cache=False).logits[0].float()
    made = _logits(_hidden(model, probe).float(), _head(model), slice(None)).to(said.device)
    if (said - made).abs().max() > LOGITS_AGREE * made.abs().max():
        raise QuantizeError("the model changes its logits after its output layer, which --evaluate does not know how to follow")


def token_table(before: Reference, scores: Sequence[Scores], documents: pl.DataFrame) -> pl.DataFrame:
    """A line for each scored token: document (a number), category, language, source_loss, loss, kl."""
    import polars as pl

    parts = []
    lines = documents.with_row_index("document").select("document", "sample", "start", "tokens", "category", "language").sort("sample", "start")
    for batch, score in zip(before.batches, scores, strict=True):
        mine = lines.filter(pl.col("sample") == batch.sample)
        which = np.repeat(np.arange(len(mine)), mine["tokens"].to_numpy())[scored(batch).numpy()]
        columns = [pl.Series("source_loss", score.source_loss), pl.Series("loss", score.loss), pl.Series("kl", score.kl)]
        parts.append(mine[which].select("document", "category", "language").with_columns(columns))
    tokens: pl.DataFrame = pl.concat(parts)
    return tokens


def cost(tokens: pl.DataFrame) -> dict[str, Any]:
    """The figures over all tokens, by category and by language: perplexity of both models, mean and 99th percentile of the KL.

    Standard errors take documents as what was sampled, since tokens of one document are alike: of means by the linearized
    ratio (Cochran, Sampling Techniques, 6.4), of the percentile by 200 resamplings of documents. With one document there is none.
    """
    return {
        "standard_errors": "over documents",
        "unit": "nats per token",
        "overall": _figures("all", tokens),
        "by_category": [_figures(name, part) for name, part in _parts(tokens, "category")],
        "by_language": [_figures(name, part) for name, part in _parts(tokens, "language")],
    }


def _parts(tokens: pl.DataFrame, column: str) -> Iterator[tuple[str, pl.DataFrame]]:
    groups = {str(key[0]): part for key, part in tokens.partition_by(column, as_dict=True).items() if key[0] is not None}
    for name in sorted(groups):
        yield name, groups[name]


def _figures(name: str, tokens: pl.DataFrame) -> dict[str, Any]:
    _, document = np.unique(tokens["document"].to_numpy(), return_inverse=True)
    before, after, kl = (mean(tokens[column].to_numpy(), document) for column in ("source_loss", "loss", "kl"))
    tail = _tail(tokens["kl"].to_numpy(), document)
    return {
        "name": name,
        "documents": int(document.max()) + 1,
        "tokens": len(tokens),
        "perplexity_source": _exp(before),
        "perplexity": _exp(after),
        "kl_mean": {"value": kl[0], "se": kl[1]},
        "kl_p99": {"value": tail[0], "se": tail[1]},
    }


def mean(values: NDArray[np.float64], document: NDArray[Any]) -> tuple[float, float | None]:
    """The mean over tokens, and its standard error over documents, numbered from 0 in ``document`` (for each token); None where there is one."""
    middle, documents = float(values.mean()), int(document.max()) + 1
    if documents < 2:
        return middle, None
    residuals = np.bincount(document, weights=values - middle, minlength=documents)
    return middle, float(np.sqrt(documents / (documents - 1) * (residuals**2).sum()) / len(values))


def _exp(loss: tuple[float, float | None]) -> dict[str, float | None]:
    value = float(np.exp(loss[0]))
    return {"value": value, "se": None if loss[1] is None else value * loss[1]}


def _tail(values: NDArray[np.float64], document: NDArray[Any]) -> tuple[float, float | None]:
    """The 99th percentile over tokens, and its standard error over documents."""
    order = np.argsort(values, kind="stable")
    ranked, owner = values[order], document[order]
    documents = int(document.max()) + 1
    value = _quantile(ranked, np.ones(len(ranked)))
    if documents < 2:
        return value, None
    chance = np.random.default_rng(0)
    drawn = chance.multinomial(documents, np.full(documents, 1 / documents), size=RESAMPLES)
    return value, float(np.std([_quantile(ranked, times[owner]) for times in drawn], ddof=1))


def _quantile(ranked: NDArray[np.float64], weights: NDArray[Any]) -> float:
    reached = np.cumsum(weights, dtype=np.float64)
    return float(ranked[np.searchsorted(reached, TAIL * reached[-1])])
