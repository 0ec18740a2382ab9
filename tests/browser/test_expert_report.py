"""The report of a ledger in a browser: no request leaves, nothing in a name becomes markup, and the map works by keyboard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from curator.quantize import expert_report
from curator.quantize.ledger import ExpertTokens, Layer

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
HOSTILE = ["<script>document.title='owned'</script>", "</style><img src=x onerror=alert(1)>", "</script>", "\u2028]]>\u202eabc", "&lt;b&gt;"]


def ledger(layers: int, experts: int, *, names: list[str], samples: int = 40, top_k: int = 4, tokens: int = 2048) -> ExpertTokens:
    """A ledger with skewed routers: experts differ by powers of ten, and some favour one source."""
    chance = np.random.default_rng(5)
    origin = [names[n % len(names)] for n in range(samples)]
    segments = pl.DataFrame(
        {"sample": range(samples), "source": origin, "category": [f"Category {n % 3}" for n in range(samples)], "language": [None, "python"] * (samples // 2)}
    )
    made = []
    for number in range(layers):
        taste = chance.normal(0, 1.2, (1, experts)) + 0.8 * chance.normal(0, 1, (len(names), experts))
        weights = np.exp(taste) / np.exp(taste).sum(axis=1, keepdims=True)
        counts = np.array([chance.multinomial(tokens * top_k, weights[n % len(names)]) for n in range(samples)])
        made.append(Layer(number, f"model.layers.{number}.mlp.experts", top_k, 128, counts.astype(np.int64), np.full(experts, tokens * samples)))
    return ExpertTokens("a/model", "calibration", tokens * samples, tuple(range(samples)), segments, tuple(made))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """open(ledger, minimum, **context) -> page; requests and complaints of the browser fail the test."""
    complaints: list[str] = []
    contexts = []

    def opener(counted: ExpertTokens, minimum: int, **options: Any) -> Any:
        expert_report.write(tmp_path / "report.html", counted, minimum)
        context = browser.new_context(viewport={"width": options.pop("width", 1280), "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith("file:") else complaints.append(request.url))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto((tmp_path / "report.html").as_uri())
        return page

    yield opener
    for context in contexts:
        context.close()
    assert complaints == []


def test_an_expert_is_told_of_by_keyboard(opened: Any) -> None:
    counted = ledger(3, 16, names=["one", "two"])
    page = opened(counted, 2000)
    assert page.locator("#map tr").count() == 3
    assert page.locator("#map td").count() == 48
    page.locator("#map td[tabindex='0']").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.locator("#expert h2").inner_text() == "Layer 1, expert 2"
    total = int(counted.layers[1].totals[2])
    assert page.locator("#expert dd").first.inner_text() == f"{total:,}"
    tokens = counted.layers[1].tokens[:, 2]
    shares = {name: tokens[[n for n in range(40) if n % 2 == at]].sum() / total for at, name in enumerate(["one", "two"])}
    best = max(shares, key=lambda name: shares[name])
    first = page.locator("#expert li").first
    assert first.locator("span").inner_text() == best
    assert first.locator("b").inner_text() == f"{100 * shares[best]:.1f} %"
    page.keyboard.press("End")
    assert page.locator("#expert h2").inner_text() == "Layer 1, expert 15"
    page.keyboard.press("ArrowRight")
    assert page.locator("#expert h2").inner_text() == "Layer 1, expert 15"


def test_experts_are_sorted_by_tokens_and_back(opened: Any) -> None:
    counted = ledger(2, 16, names=["one"])
    page = opened(counted, 10)
    page.get_by_role("button", name="By tokens").click()
    read = [int(text) for text in page.locator("#map tr").nth(1).locator("td").all_text_contents()]
    assert read == sorted(counted.layers[1].totals.tolist(), reverse=True)
    page.get_by_role("button", name="By number").click()
    assert [int(t) for t in page.locator("#map tr").nth(1).locator("td").all_text_contents()] == counted.layers[1].totals.tolist()


def test_a_poor_expert_is_marked_and_listed_first(opened: Any) -> None:
    counted = ledger(2, 16, names=["one"])
    counted.layers[1].tokens[:, 3] = 0
    page = opened(counted, 1)
    assert page.locator("p.verdict").inner_text() == "1 of 32 experts were sent fewer than 1 tokens"
    assert page.locator("#map td.h0").count() == 1
    assert page.locator("#least tbody tr").first.locator("td").all_inner_texts() == ["1", "3", "0", "never", "–", "–"]
    assert page.locator("#least tr.low").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_names_stay_text(opened: Any, scheme: str) -> None:
    page = opened(ledger(2, 8, names=HOSTILE), 10, color_scheme=scheme)
    page.locator("#map td").nth(2).click()
    assert page.title() == "Experts of a/model"
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    shown = page.locator("table.lines td").all_text_contents() + page.locator("#expert span").all_text_contents()
    assert all(any(name in text for text in shown) for name in HOSTILE)


def test_the_largest_map_fits_a_screen_and_a_telephone(opened: Any, tmp_path: Path) -> None:
    counted = ledger(62, 256, names=[f"source {n}" for n in range(48)], samples=48, top_k=8, tokens=8192)
    page = opened(counted, 3072)
    assert (tmp_path / "report.html").stat().st_size < 6_000_000
    box = page.locator("#map tr").nth(61).bounding_box()
    assert box["y"] + box["height"] < 1100
    assert page.locator("#map td").nth(300).bounding_box()["width"] >= 3
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.emulate_media(media="print")
    assert page.locator("#expert").is_hidden()
    assert page.locator("#least").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(opened: Any, scheme: str) -> None:
    """Contrast of at least 4.5, as WCAG 2 asks of text."""
    page = opened(ledger(2, 8, names=["one", "two"]), 100_000, color_scheme=scheme)
    page.locator("#map td").nth(2).click()
    worst = page.evaluate(
        """() => {
          const part = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
          const light = (rgb) => { const [r, g, b] = rgb.match(/[\\d.]+/g).map(Number); return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b); };
          const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!c.endsWith(", 0)") && c !== "transparent") return c; } };
          const texts = [...document.querySelectorAll("p, h1, h2, h3, th, .lines td, dt, dd, button, li span, li b, li small, figcaption span")].filter((e) => e.textContent.trim());
          return Math.min(...texts.map((e) => { const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05); }));
        }"""
    )
    assert worst >= 4.5


def test_a_dense_model_has_a_page_that_says_so(opened: Any) -> None:
    empty = ledger(1, 4, names=["one"])
    page = opened(ExpertTokens("dense", "plain", empty.tokens, empty.samples, empty.segments, ()), 0)
    assert page.locator("p.verdict").inner_text() == "A dense model: it has no experts to count"
    assert page.locator("#map").count() == 0
