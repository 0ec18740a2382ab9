"""llm-compressor with its log switched off: what it logs in the middle of GPTQ must not fail."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.model
pytest.importorskip("llmcompressor")

CODE = """
from curator.quantize import library
with library.tamed(print):
    import llmcompressor
    from loguru import logger
    logger.log("METRIC", "time 1 s")
print("fine")
"""


def test_metrics_can_be_logged_where_the_log_is_off() -> None:
    environment = os.environ | {"LLM_COMPRESSOR_LOG_DISABLED": "true"}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "fine"), done.stderr[-2000:]
