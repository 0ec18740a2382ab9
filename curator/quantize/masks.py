"""Attention masks that survive tracing: a model that llm-compressor calibrates has them as when it serves.

llm-compressor 0.14 wraps the functions that make masks where a model calls them by their own names. Models that choose one
first (``mask_function = a if ... else b``: Qwen3-MoE, Mixtral and others) have theirs traced with a copy of the configuration
that has forgotten which attention is used, and so gives None; with the eager attention of a calibration, no mask lets every
token see its whole sample, tokens that follow it and other documents included.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

MAKERS = ("create_causal_mask", "create_sliding_window_causal_mask", "create_chunked_causal_mask", "create_bidirectional_mask")


@contextmanager
def made_when_run(model: Any) -> Iterator[None]:
    """Within the block, a trace of ``model`` calls its mask functions with its own configuration, for each sample."""
    homes = {type(module).__module__ for module in model.modules()}
    found = [(sys.modules[home], name) for home in sorted(homes) for name in MAKERS if callable(getattr(sys.modules[home], name, None))]
    before = [getattr(home, name) for home, name in found]
    for (home, name), make in zip(found, before, strict=True):
        setattr(home, name, _deferred(make))
    try:
        yield
    finally:
        for (home, name), make in zip(found, before, strict=True):
            setattr(home, name, make)


def _deferred(make: Callable[..., Any]) -> Callable[..., Any]:
    from torch.fx import Proxy

    @functools.wraps(make)
    def call(**given: Any) -> Any:
        traced = {name: value for name, value in given.items() if isinstance(value, Proxy)}
        if not traced:
            return make(**given)
        known = {name: value for name, value in given.items() if name not in traced}

        @functools.wraps(make)
        def later(**now: Any) -> Any:
            return make(**known, **now)

        return next(iter(traced.values())).tracer.create_proxy("call_function", later, (), traced)

    return call
