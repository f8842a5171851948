"""The page about a made world in a real browser: offline, light, dark, narrow, for all readers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_lab import (
    base_artefact,
    hostile,
    labels_about,
    labels_artefact,
    made_world,
    said_in,
)
from made_report import HOSTILE

from aftertune.progress import Silent
from aftertune.report import lab_run
from aftertune.report.config import ReportConfig

pytestmark = pytest.mark.slow
CHROMIUM = Path("/usr/bin/chromium")
OPEN = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM))
        yield started
        started.close()


def written(out: Path, text: str = "") -> Path:
    """The page of a world; with `text`, everything that was said is that."""
    world = made_world()
    said, base = said_in(world), base_artefact(out, world)
    about = labels_about(world, said)
    labels = labels_artefact(out, world, base, hostile(said, text) if text else said, about)
    config = ReportConfig(title=text or "A made world")
    return lab_run.run(config, [base, labels], out, Silent()).folder / "report.html"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("lab"))


def opened(browser: Any, file: Path, **options: Any) -> tuple[Any, list[str]]:
    """The page, and everything that it said or asked for."""
    context = browser.new_context(**options)
    page, heard = context.new_page(), []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url))
    context.set_offline(True)
    page.goto(file.as_uri())
    return page, heard


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_it_fits_and_asks_for_nothing(browser: Any, file: Path, scheme: str, width: int) -> None:
    page, heard = opened(browser, file, viewport={"width": width, "height": 800},
                         color_scheme=scheme)  # fmt: skip
    page.evaluate(OPEN)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert heard == [file.as_uri()]
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in back.strip("rgb()").split(",")) < 200) == (scheme == "dark")
    page.context.close()


def test_a_mark_leads_to_its_row(browser: Any, file: Path) -> None:
    page, _ = opened(browser, file, viewport={"width": 1280, "height": 800})
    mark = page.locator(".spoken .caused + sup a").first
    mark.click()
    statement = page.locator(":target")
    assert "wrong, caused by rows" in statement.inner_text()
    row = statement.locator("mark").first
    assert not row.is_visible()
    statement.locator("summary").click()
    assert row.is_visible()
    page.context.close()


def test_no_mark_is_told_by_colour_alone(browser: Any, file: Path) -> None:
    page, _ = opened(browser, file, viewport={"width": 1280, "height": 800})
    keys = page.locator(".key li")
    looks = keys.evaluate_all(
        """keys => keys.map(key => [key.querySelector(".sign").textContent,
           getComputedStyle(key.querySelector(".said")).textDecorationStyle])"""
    )
    assert len({sign for sign, _ in looks}) == len(looks) == 6
    assert {style for _, style in looks} == {"solid", "double", "wavy", "dashed", "dotted"}
    page.context.close()


def test_hostile_text_stays_text(browser: Any, tmp_path: Path) -> None:
    file = written(tmp_path, HOSTILE)
    page, heard = opened(browser, file, viewport={"width": 360, "height": 740})
    page.evaluate(OPEN)
    assert "<script>" in page.title()
    assert page.locator("img").count() == 0
    assert "⟨U+202E⟩evil" in page.locator(".spoken").first.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert heard == [file.as_uri()]
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_for_accessibility(browser: Any, file: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # axe is injected as a script, which the page's own policy forbids
    page, _ = opened(browser, file, viewport={"width": 1280, "height": 900}, color_scheme=scheme,
                     bypass_csp=True)  # fmt: skip
    page.evaluate(OPEN)
    result = axe.Axe().run(page)
    bad = [v for v in result.response["violations"] if v["impact"] in ("serious", "critical")]
    assert [(v["id"], [n["html"][:120] for n in v["nodes"][:3]]) for v in bad] == []
    page.context.close()
