"""The report in a real browser, from disk: nothing leaves it, nothing hostile runs in it, and all of it works from the keyboard."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from curator import report
from tests import reports

pytest.importorskip("playwright", reason="playwright is not installed; pip install -e '.[dev]'")
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH; install it (apt-get install chromium)")

# The contrast of every visible text with the nearest background behind it (WCAG 2.2, 1.4.3); answers those below 4.5.
CONTRAST = """() => {
  const canvas = document.createElement('canvas'); canvas.width = canvas.height = 1;
  const context = canvas.getContext('2d', {willReadFrequently: true});
  const rgba = (colour) => { context.clearRect(0, 0, 1, 1); context.fillStyle = colour; context.fillRect(0, 0, 1, 1); return [...context.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const behind = (element) => { for (let e = element; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; } return rgba('Canvas'); };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const poor = []; let checked = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || element.closest('script, title') || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(rgba(element.closest('svg') ? style.fill : style.color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    checked += 1;
    if (ratio < 4.5) poor.push([element.tagName, element.className.toString(), element.textContent.slice(0, 30), ratio.toFixed(2)]);
  }
  return {checked, poor};
}"""
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    texts = {"report": report.page(*reports.example()), "comparison": report.comparison_page(reports.comparison())}
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.fixture
def open_page(browser: Browser, files: dict[str, Path]) -> Iterator[Open]:
    """Opens a page; when the test ends, nothing may have been requested, written to the console, blocked or run by the data."""
    complaints: list[str] = []
    pages: list[Page] = []

    def opened(name: str = "report", *, fragment: str = "", **options: Any) -> Page:
        context = browser.new_context(**options)
        context.add_init_script("document.addEventListener('securitypolicyviolation', (e) => console.error('CSP: ' + e.violatedDirective))")
        own = files[name].as_uri()
        page = context.new_page()

        def routed(route: Any) -> None:
            if route.request.url.split("#")[0] == own:
                route.continue_()
            else:
                complaints.append(f"request: {route.request.url}")
                route.abort()

        page.route("**/*", routed)
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(own + fragment)
        pages.append(page)
        return page

    yield opened
    ran = [page.evaluate("window.pwned ?? null") for page in pages]
    for page in pages:
        page.context.close()
    assert complaints == []
    assert set(ran) <= {None}


def column(page: Page, table: str, number: int) -> list[str]:
    return [cell.strip() for cell in page.locator(f"#{table} tbody tr:not([hidden]) td:nth-child({number})").all_inner_texts()]


def numbers(texts: list[str]) -> list[float]:
    return [float(text.replace(",", "").removesuffix(" %")) for text in texts]


def test_the_policy_lets_nothing_in(open_page: Open) -> None:
    page = open_page()
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content") or ""
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert page.locator("[src], link, [style], [onclick], [onload], [onerror]").count() == 0
    assert page.locator("script").count() == 2


def test_a_script_that_is_not_ours_would_be_blocked(browser: Browser, tmp_path: Path) -> None:
    """The check that the policy works at all: markup forced into the page does not run."""
    text = report.page(*reports.example()).replace("</main>", "<script>window.pwned = 9</script><img src=x onerror='window.pwned = 9'></main>")
    (tmp_path / "forced.html").write_text(text, encoding="utf-8")
    page = browser.new_page()
    blocked: list[str] = []
    page.on("console", lambda message: blocked.append(message.text))
    page.goto((tmp_path / "forced.html").as_uri())
    assert page.evaluate("window.pwned ?? null") is None
    assert any("Content Security Policy" in text for text in blocked)
    page.close()


def test_first_screen(open_page: Open) -> None:
    page = open_page(viewport={"width": 1280, "height": 800})
    header = page.locator("header").inner_text()
    for part in ("Does not pass: 1 of 18 gates not met", "590 × 8192", "4,833,280", "4,100", "a7ac6928be94", "tr (tokens): 5,000 of 8,192"):
        assert part in header
    figures = page.locator("figure")
    assert figures.count() == 4
    for number in range(4):
        box = figures.nth(number).bounding_box()
        assert box is not None
        assert box["y"] < 700, "all four begin well within the first screen"
        assert figures.nth(number).locator("svg[role=img]").get_attribute("aria-label")
    labels = [text for text in page.locator("figure").nth(2).locator(".axis.x text").all_text_contents() if text]
    assert len(labels) == 72


def test_every_number_of_a_chart_is_in_its_table(open_page: Open) -> None:
    page = open_page()
    for number in range(4):
        figure = page.locator("figure").nth(number)
        told = figure.locator("svg title").evaluate_all("titles => titles.map((t) => t.textContent.split(': ').pop())")
        table = (figure.locator("figcaption a").get_attribute("href") or "")[1:]
        anchors = ["programming", "natural"] if table == "programming" else [table]
        cells = {cell.removesuffix(" %") for anchor in anchors for cell in page.locator(f"#{anchor} td").all_inner_texts()}
        cells |= {f"{float(cell):g}" for cell in cells if cell.replace(".", "", 1).isdigit()}
        assert told
        assert [value for value in told if value not in cells] == []


def test_tables_sort(open_page: Open) -> None:
    page = open_page()
    before = numbers(column(page, "programming", 4))
    assert before != sorted(before)
    heading = page.locator("#programming th", has_text="Tokens").first
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert numbers(column(page, "programming", 4)) == sorted(before, reverse=True)
    heading.locator("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert numbers(column(page, "programming", 4)) == sorted(before)
    page.locator("#programming th button").first.click()
    names = column(page, "programming", 1)
    assert names == sorted(names)
    assert page.locator("#programming [aria-sort]").count() == 1


def test_tables_filter(open_page: Open) -> None:
    page = open_page()
    page.get_by_label("Filter Programming languages").fill("SCRIPT")
    assert sorted(column(page, "programming", 1)) == ["gdscript", "javascript", "typescript"]
    assert page.locator("#programming [role=status]").inner_text() == "3 of 60 rows"
    page.get_by_label("Filter Programming languages").fill("")
    assert len(column(page, "programming", 1)) == 60


def test_a_document_by_keyboard_alone(open_page: Open) -> None:
    page = open_page()
    focused = "document.activeElement.closest('tr')?.dataset.name ?? document.activeElement.id"
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('#category button.open')"):
            break
    name = page.evaluate(focused)
    assert name in reports.CATEGORIES
    page.keyboard.press("Enter")
    assert page.locator("dialog[open]").is_visible()
    assert page.locator("#reader-title").inner_text() == name
    assert page.locator("#reader-place").inner_text().startswith("1 of ")
    assert "Question 0" in page.locator("#reader-body").inner_text()
    page.keyboard.press("ArrowRight")
    assert "Question 6" in page.locator("#reader-body").inner_text()
    page.keyboard.press("ArrowLeft")
    assert "Question 0" in page.locator("#reader-body").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate(focused) == name
    assert page.evaluate("document.activeElement.matches('button.open')")


def test_the_three_views(open_page: Open) -> None:
    page = open_page(fragment="#source=source_00")
    turns = page.locator(".turn")
    assert [turns.nth(n).get_attribute("data-role") for n in range(4)] == ["user", "assistant", "assistant", "assistant"]
    assert [turns.nth(n).locator("h3 b").all_inner_texts() for n in range(4)] == [[], ["reasoning"], ["code"], ["tool call"]]
    _, _, shown = reports.example()
    assert "".join(turns.nth(n).locator("div").evaluate("e => e.textContent") for n in range(4)) == shown[0]["text"], "turns are cut where Python cut them"
    page.locator("[data-view=text]").click()
    assert page.locator("#reader-body pre").evaluate("e => e.textContent") == shown[0]["text"]
    page.locator("[data-view=tokens]").click()
    pieces = page.locator(".tokens span").evaluate_all("all => all.map((e) => e.textContent.replaceAll('↵', ''))")
    assert pieces == shown[0]["pieces"]
    assert page.locator(".tokens .special").all_inner_texts() == ["<s>", "</s>"]
    assert page.locator("[data-view=tokens]").get_attribute("aria-pressed") == "true"
    page.locator("[data-view=text]").click()
    assert "25 more tokens" in page.locator(".end").inner_text()
    facts = page.locator("#reader-facts").inner_text()
    for part in ("org/source_00", "MIT", "sample 0 at 0", "row 0"):
        assert part in facts


def test_rows_open_what_is_behind_them(open_page: Open) -> None:
    _, _, shown = reports.example()
    page = open_page()
    expected = {
        "natural": ("he", [n for n, d in enumerate(shown) if d["language"] == "he"]),
        "kind": ("code", [n for n, d in enumerate(shown) if any(t["kind"] == "code" for t in d["turns"])]),
        "lengths": ("0–127", [n for n, d in enumerate(shown) if d["tokens"] + d["cut"] <= 127]),
        "duplicates": ("near", [1, 2]),
        "special": ("<s>", list(range(0, len(shown), 2))),
        "gates": ("natural_languages: he (tokens)", [n for n, d in enumerate(shown) if d["language"] == "he"]),
    }
    for table, (name, places) in expected.items():
        found = page.locator(f"#{table} tbody tr").evaluate_all("(rows, name) => rows.find((r) => r.dataset.name === name).dataset.documents", name)
        assert found == " ".join(map(str, places)), table
    assert page.locator("#special tr", has_text="<never>").locator("button").count() == 0, "no document, no button"


def test_hostile_text_stays_text(open_page: Open) -> None:
    page = open_page()
    rows = page.locator("#documents tbody tr")
    seen = rows.evaluate_all("rows => rows.map((row) => row.dataset.name)")
    assert any(name.startswith("<script>window.pwned = 7</script>") for name in seen)
    page.evaluate("document.querySelectorAll('#documents button.open')[0].click()")
    page.keyboard.press("Escape")
    start = len(seen) - len(reports.HOSTILE)
    for number, text in enumerate(reports.HOSTILE):
        rows.nth(start + number).locator("button.open").click()
        for view in ("conversation", "text"):
            page.locator(f"[data-view={view}]").click()
            assert text in page.locator("#reader-body").evaluate("e => e.textContent"), (view, text)
        page.locator("[data-view=tokens]").click()
        assert page.locator("#reader-body").locator("script, style, img, svg").count() == 0
        page.keyboard.press("Escape")
    assert page.locator("img, iframe, object, embed, form, base").count() == 0
    assert page.locator("h1").inner_text().startswith("<script>window.pwned = 7</script>")


def test_marks_that_turn_text_around_are_spelled_in_tokens(open_page: Open) -> None:
    page = open_page()
    number = len(reports.HOSTILE) - reports.HOSTILE.index("right\u202eot tfel")
    page.locator("#documents tbody tr").nth(-number).locator("button.open").click()
    page.locator("[data-view=tokens]").click()
    assert "‹U+202E›" in page.locator(".tokens").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["report", "comparison"])
def test_contrast(open_page: Open, scheme: str, name: str) -> None:
    page = open_page(name, color_scheme=scheme)
    result = page.evaluate(CONTRAST)
    assert result["checked"] > 100
    assert result["poor"] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["conversation", "text", "tokens"])
def test_contrast_of_the_reader(open_page: Open, scheme: str, view: str) -> None:
    page = open_page(fragment="#source=source_00", color_scheme=scheme)
    page.locator(f"[data-view={view}]").click()
    poor = [found for found in page.evaluate(CONTRAST)["poor"] if found[1] != "" or found[0] != "BUTTON"]
    assert poor == []


@pytest.mark.parametrize("name", ["report", "comparison"])
def test_a_phone_scrolls_down_only(open_page: Open, name: str) -> None:
    page = open_page(name, viewport={"width": 360, "height": 740}, has_touch=True)
    assert page.evaluate(OVERFLOW) == 0
    if name == "report":
        page.locator("#category button.open").first.tap()
        assert page.evaluate(OVERFLOW) == 0
        for part in ("#reader-close", "#reader-next", "#reader-body"):
            box = page.locator(part).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 360


def test_print_holds_the_tables(open_page: Open) -> None:
    page = open_page(color_scheme="dark")
    page.get_by_label("Filter Programming languages").fill("python")
    page.emulate_media(media="print")
    assert page.locator("#programming tbody tr:visible").count() == 60, "a filter is for the screen"
    assert page.locator("tbody tr").count() == page.locator("tbody tr:visible").count()
    assert page.locator("nav:visible, input:visible, dialog:visible").count() == 0
    clipped = page.locator(".scroll").evaluate_all("all => all.filter((e) => e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1).length")
    assert clipped == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("figure svg:visible").count() == 4


def test_it_reads_without_a_script(browser: Browser, files: dict[str, Path]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(files["report"].as_uri())
    assert page.locator("#programming tbody tr:visible").count() == 60
    assert page.locator("figure svg:visible").count() == 4
    assert page.locator("button:visible, input:visible").count() == 0, "no control that does nothing"
    context.close()


def test_a_link_leads_to_a_document(open_page: Open) -> None:
    page = open_page(fragment="#category=Finance")
    assert page.locator("dialog[open] #reader-title").inner_text() == "Finance"
    page.keyboard.press("Escape")
    page.wait_for_function("location.hash === ''")


def test_no_motion_for_those_who_want_none(open_page: Open) -> None:
    assert open_page(reduced_motion="reduce").evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert open_page(reduced_motion="no-preference").evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "smooth"


def test_a_full_set_is_small_and_soon_there(browser: Browser, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """600 documents of 4,000 letters. The time is told, and held only against hanging."""
    coverage, facts, shown = reports.example(documents=600)
    for document in shown:
        text = (document["text"] + "ab שלום 漢字 <&> \n" * 400)[:4000]
        document |= {"text": text, "pieces": [text[i : i + 4] for i in range(0, 1600, 4)]}
    file = tmp_path / "full.html"
    file.write_text(report.page(coverage, facts, shown), encoding="utf-8")
    assert file.stat().st_size < 10_000_000
    page = browser.new_page()
    page.goto(file.as_uri())
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].domComplete")
    page.locator("#category button.open").first.click()
    opened = page.evaluate("performance.now()")
    print(f"{file.stat().st_size / 1e6:.1f} MB, interactive after {ready:.0f} ms")
    record_property("interactive_ms", ready)
    assert page.locator("dialog[open]").is_visible()
    assert opened < 20_000
    page.close()


def test_tokens_that_are_kept_as_lengths(open_page: Open) -> None:
    """Those of a document without special tokens are cut from its text, where letters of two UTF-16 units are in it too."""
    _, _, shown = reports.example()
    assert "".join(shown[1]["pieces"]) == shown[1]["text"]
    assert "😀" in shown[1]["text"]
    page = open_page(fragment="#source=source_01")
    page.locator("[data-view=tokens]").click()
    assert page.locator(".tokens span").evaluate_all("all => all.map((e) => e.textContent.replaceAll('↵', ''))") == shown[1]["pieces"]
