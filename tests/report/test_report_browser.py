"""The page in a real browser: offline, by mouse, finger and keyboard, light, dark and narrow."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_blocks import control_artefact, curve_picture, interval_row, intervals_picture, made_block
from made_report import HOSTILE, model_artefacts, random_answer, response_record, token_record

from aftertune.progress import Silent
from aftertune.report.config import ReportConfig
from aftertune.report.run import ReportInputs, ReportModel, run

pytestmark = pytest.mark.slow
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM))
        yield started
        started.close()


@pytest.fixture(scope="module")
def page_file(demo: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = run(ReportConfig(), demo, tmp_path_factory.mktemp("page"), Silent()).folder
    return folder / "report.html"


@pytest.fixture(scope="module")
def hostile_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hostile text everywhere, an emoji of four byte pieces, and an answer of 5,000 tokens."""
    out = tmp_path_factory.mktemp("hostile")
    text = f"Hi 🙂 {HOSTILE}"
    bytes_ = [
        token_record("r-h-0", k, char_start=a, char_end=b, token_id=900 + k, token=HOSTILE,
                     category="shifted" if k == 3 else "unshifted", kl_tuned_base_nats=0.1 * k)
        for k, (a, b) in enumerate([(0, 2), (2, 4), (3, 4), (3, 4), (3, 4), (4, len(text))])
    ]  # fmt: skip
    long_text, ids, tokens = random_answer(np.random.default_rng(0), "r-h-1", 5000, 0.2)
    made = model_artefacts(out, "h", [
        (response_record(0, "h", text, question=HOSTILE), bytes_),
        (response_record(1, "h", long_text, ids), tokens),
    ])  # fmt: skip
    model = ReportModel(HOSTILE, made.shift, made.responses, made.tune)
    found = run(ReportConfig(title=HOSTILE), ReportInputs([model]), out, Silent())
    return found.folder / "report.html"


@pytest.fixture
def controls_file(demo: ReportInputs, tmp_path: Path, made_control: None) -> Path:
    """The demo with controls: long labels and names, absent rows, lines that lie together."""
    rows = [
        interval_row("the template that the model was tuned with", 0.153, 0.127, 0.185),
        interval_row("W" * 60, 0.101, 0.08, 0.13),
        interval_row("few-shot", reason="the template refuses a system prompt " * 3),
        *(interval_row(f"row {k}", 0.01 * k, 0.008 * k, 0.012 * k) for k in range(9)),
    ]
    close = {f"lora-{k}e-4": [(0, 0.02), (1, 0.01), (20, 0.009 + 1e-5 * k)] for k in range(6)}
    blocks = [
        made_block(picture=intervals_picture(rows, (0.0003, "noise floor")), sentences=["Long."]),
        made_block(picture=curve_picture(close, [0, 1, 20], log_x=True), cautions=["Careful."]),
        made_block(question=HOSTILE, picture=intervals_picture([interval_row("huge", 2.5e9)])),
    ]
    made = [control_artefact(tmp_path, block) for block in blocks]
    inputs = dataclasses.replace(demo, controls=made)
    return run(ReportConfig(), inputs, tmp_path, Silent()).folder / "report.html"


class Opened:
    """A page with everything that it said or asked for."""

    def __init__(self, browser: Any, file: Path, **options: Any) -> None:
        context = browser.new_context(**options)
        self.page = context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        context.set_offline(True)
        self.page.goto(file.as_uri())

    def panel(self) -> str:
        return str(self.page.locator("#panel-body").inner_text())


@pytest.fixture
def opened(browser: Any, page_file: Path) -> Iterator[Opened]:
    found = Opened(browser, page_file, viewport={"width": 1280, "height": 900})
    yield found
    assert found.said == []
    assert found.asked == [page_file.as_uri()]
    found.page.context.close()


def test_loads_offline_without_a_word(opened: Opened) -> None:
    assert opened.page.title() == "What tuning changed"
    assert opened.page.locator(".answer").count() == 3
    assert opened.page.locator("#prompt option").count() == 32
    assert not opened.page.locator("#panel").is_visible()


def test_hovering_shows_what_both_preferred(opened: Opened) -> None:
    token = opened.page.locator(".answer .tok.c2").first
    token.hover()
    text = opened.panel()
    assert "shifted" in text
    assert "What base preferred" in text
    assert "KL(tuned from base)" in text
    assert opened.page.locator(".tops li").count() == 10
    widths = opened.page.locator(".tops .bar").evaluate_all("bars => bars.map(b => b.offsetWidth)")
    assert min(widths) > 0
    assert max(widths) > 2 * min(widths)


def test_a_click_holds_the_token_and_escape_lets_go(opened: Opened) -> None:
    tokens = opened.page.locator(".answer .tok")
    tokens.nth(3).click()
    before = opened.panel()
    tokens.nth(9).hover()
    assert opened.panel() == before
    opened.page.keyboard.press("Escape")
    assert not opened.page.locator("#panel").is_visible()
    tokens.nth(10).hover()
    assert opened.page.locator("#panel").is_visible()


def test_arrow_keys_move_between_tokens(opened: Opened) -> None:
    page = opened.page
    page.locator("#next").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.unit") == "0"
    assert "token 1 of" in opened.panel()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert "token 3 of" in opened.panel()
    page.keyboard.press("ArrowLeft")
    assert "token 2 of" in opened.panel()
    page.keyboard.press("ArrowDown")
    below = int(page.evaluate("document.activeElement.dataset.unit"))
    assert below > 3
    page.keyboard.press("End")
    assert "<|im_end|>" in opened.panel()
    page.keyboard.press("Home")
    assert "token 1 of" in opened.panel()
    page.keyboard.press("Tab")  # each answer is one stop
    assert (
        page.locator(".answer")
        .nth(1)
        .locator(".tok")
        .first.evaluate("t => t === document.activeElement")
    )


def test_prompts_by_list_button_and_key(opened: Opened) -> None:
    page = opened.page
    page.select_option("#prompt", "4")
    assert "Question 4:" in page.locator("#turns").inner_text()
    page.locator("#next").click()
    assert "Question 5:" in page.locator("#turns").inner_text()
    page.locator(".answer .tok").first.click()
    page.keyboard.press("n")
    assert "Question 6:" in page.locator("#turns").inner_text()
    page.locator(".answer .tok").first.click()
    page.keyboard.press("p")
    assert "Question 5:" in page.locator("#turns").inner_text()
    page.select_option("#prompt", "31")
    assert page.locator("#next").is_disabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(browser: Any, page_file: Path, scheme: str, tmp_path: Path) -> None:
    found = Opened(browser, page_file, viewport={"width": 360, "height": 740}, color_scheme=scheme,
                   has_touch=True, is_mobile=True, device_scale_factor=2)  # fmt: skip
    page = found.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    token = page.locator(".answer .tok.c1").first
    token.scroll_into_view_if_needed()
    token.tap()
    assert "marginal" in found.panel()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    box, view = page.locator("#panel").bounding_box(), page.viewport_size
    assert box["height"] < 0.6 * view["height"]
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in back.strip("rgb()").split(","))
    assert (brightness < 200) == (scheme == "dark")
    assert not page.locator("svg.wide").first.is_visible()
    assert page.locator("svg.narrow").first.is_visible()
    page.screenshot(path=tmp_path / f"{scheme}.png")
    assert found.said == []
    page.context.close()


# Labels of one drawing whose letters lie upon each other, or that leave it.
COLLISIONS = """() => [...document.querySelectorAll("figure > svg")]
  .filter((svg) => svg.getBoundingClientRect().width > 0).flatMap((svg) => {
    const whole = svg.viewBox.baseVal, found = [];
    const boxes = [...svg.querySelectorAll("text")].map((t) => [t.textContent, t.getBBox()]);
    for (const [a, p] of boxes) {
      if (p.x < -3 || p.x + p.width > whole.width + 3) found.push(a);
      for (const [b, q] of boxes) {
        const across = Math.min(p.x + p.width, q.x + q.width) - Math.max(p.x, q.x);
        const down = Math.min(p.y + p.height, q.y + q.height) - Math.max(p.y, q.y);
        if (p !== q && across > 0 && down > 4) found.push(a + " | " + b);
      }
    }
    return found;
  })"""


@pytest.mark.parametrize("width", [1280, 360])
def test_no_label_lies_upon_another(browser: Any, controls_file: Path, width: int) -> None:
    found = Opened(browser, controls_file, viewport={"width": width, "height": 900})
    page = found.page
    assert page.locator(".control svg:visible").count() >= 3
    assert page.evaluate(COLLISIONS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".legend.named").first.is_visible() == (width == 360)
    page.locator(".control summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert found.said == []
    page.context.close()


def test_hostile_text_stays_text(browser: Any, hostile_file: Path) -> None:
    found = Opened(browser, hostile_file, viewport={"width": 360, "height": 740})
    page = found.page
    assert "<script>" in page.title()
    assert "owned" in page.title()  # as a word of the text, and not alone
    assert page.title() != "owned"
    assert page.locator("img").count() == 0
    assert "⟨U+202E⟩evil" in page.locator(".answer").inner_text()
    page.locator(".answer .tok").last.click()
    assert "<script>" in found.panel()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert found.said == []
    assert found.asked == [hostile_file.as_uri()]
    page.context.close()


def test_the_bytes_of_a_character_are_one_unit(browser: Any, hostile_file: Path) -> None:
    found = Opened(browser, hostile_file, viewport={"width": 1280, "height": 900})
    emoji = found.page.locator(".answer .tok", has_text="🙂").first
    emoji.click()
    assert found.page.locator(".parts button").count() == 4
    assert "token 5 of 6" in found.panel()  # the one that moved most
    found.page.locator(".parts button").first.click()
    assert "token 2 of 6" in found.panel()
    assert found.page.locator(".parts button").first.evaluate("b => b === document.activeElement")
    found.page.keyboard.press("Escape")
    assert not found.page.locator("#panel").is_visible()
    found.page.context.close()


def test_thousands_of_tokens_stay_usable(browser: Any, hostile_file: Path) -> None:
    found = Opened(browser, hostile_file, viewport={"width": 1280, "height": 900})
    page = found.page
    milliseconds = page.evaluate(
        """() => {
            const start = performance.now();
            document.getElementById("next").click();
            document.body.getBoundingClientRect();
            return performance.now() - start;
        }"""
    )
    assert page.locator(".answer .tok").count() == 5000
    assert milliseconds < 3000
    page.locator(".answer .tok").first.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert "token 21 of 5,000" in found.panel()
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_serious_for_accessibility(
    browser: Any, controls_file: Path, scheme: str, width: int
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # axe is injected as a script, which the page's own policy forbids
    found = Opened(browser, controls_file, viewport={"width": width, "height": 900},
                   color_scheme=scheme, bypass_csp=True)  # fmt: skip
    found.page.locator(".answer .tok.c2").first.click()
    for details in found.page.locator("details summary").all():
        details.click()
    result = axe.Axe().run(found.page)
    bad = [v for v in result.response["violations"] if v["impact"] in ("serious", "critical")]
    assert [(v["id"], [n["html"][:120] for n in v["nodes"][:3]]) for v in bad] == []
    found.page.context.close()
