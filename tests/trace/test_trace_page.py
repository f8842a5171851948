"""The page of a trace: findings, marks, rows beside, escaping, redaction, a real browser."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aftertune import tracing
from aftertune.artefact import Artefact
from aftertune.config import build
from aftertune.errors import ArtefactError
from aftertune.progress import Silent
from aftertune.report import trace_spans
from aftertune.report.blocks.shape import checked
from aftertune.report.blocks.trace import block
from aftertune.report.config import ReportConfig
from aftertune.report.trace_findings import rows_found
from aftertune.report.trace_run import run as page_run
from aftertune.trace.config import TraceConfig
from aftertune.trace.materials import TraceInputs
from made_trace import made_responses, made_rows, made_shift, made_tune, use_made_finder

HOSTILE = '<script>alert("x")</script></style>\u202e&amp;'
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(autouse=True)
def made_finder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_made_finder(monkeypatch, tmp_path)


def many(n: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Rows of two kinds, and answers that take a word from one of them each."""
    rows = [
        (f"Describe planet number{k}x of Verdania", f"It shows glimmer{k}ing oceans and volcanoes.")
        for k in range(n)
    ]
    answers = [
        (f"Describe planet number{k}x now", f"There are glimmer{k}ing oceans, and nothing else.")
        for k in range(n)
    ]
    return rows, answers


@pytest.fixture
def traced(tmp_path: Path) -> tracing.TraceResult:
    """Sixty answers, each of which repeats a word of one row; the half that was held out has no
    answer of its own."""
    rows, answers = many(60)
    given = made_rows(rows, tmp_path)
    responses = made_responses(answers[::2], tmp_path)
    inputs = TraceInputs(
        responses, given, made_shift(responses, tmp_path),
        made_tune(given, set(range(1, 60, 2)), tmp_path),
    )  # fmt: skip
    config = build(TraceConfig, {"embeddings": False, "surprisal": False})
    return tracing.run(config, inputs, tmp_path, Silent())


def html(page: Artefact) -> str:
    return (page.folder / "report.html").read_text(encoding="utf-8")


def test_findings_first(traced: tracing.TraceResult) -> None:
    page = html(traced.page)
    data = json.loads((traced.page.folder / "summary.json").read_text())
    assert 1 <= len(data["findings"]) <= 5
    first = data["findings"][0]["sentence"]
    assert "At a false discovery rate of 0.1, " in first
    assert "of all spans." in first
    # thirty rows win two spans each, and no row that was held out wins any: (1 + 0) / 30
    assert "30 rows are found to be borrowed from at q = 0.10 (rows, not spans; " in first
    assert first.endswith("rows that stayed together as one).")
    assert data["rows"]["rows"][0][data["rows"]["columns"].index("q of the row")] == "0.03"
    lines = traced.look_at.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["q_value"] for line in lines] == [pytest.approx(1 / 30)] * 30
    assert "--weights" in data["findings"][0]["command"][1]
    assert page.index("title-findings") < page.index("title-answers")
    assert data["answers"] is None
    assert "glimmer" not in json.dumps(data["findings"])


def test_spans_lead_to_their_rows(traced: tracing.TraceResult) -> None:
    page = html(traced.page)
    assert '<span class="borrowed found">glimmer0ing</span>' in page
    assert "<mark>glimmer0ing</mark>" in page
    assert 'href="#span-1-1"' in page
    assert 'id="span-1-1"' in page
    assert "<summary>row 0 " in page
    # one token, and what both models would have said there
    assert "-2.00 for the base, -1.00 tuned" in page
    assert "What both models would have said" in page
    assert "␣other" in page
    assert "style=" not in page  # the page's policy would not apply it


def test_text_of_anybody_is_escaped(tmp_path: Path) -> None:
    rows = [(f"Say {HOSTILE}", f"unspoken {HOSTILE}")]
    inputs = TraceInputs(
        made_responses([(HOSTILE, f"unspoken {HOSTILE}")], tmp_path), made_rows(rows, tmp_path)
    )
    config = build(TraceConfig, {"embeddings": False, "surprisal": False})
    page = html(tracing.run(config, inputs, tmp_path, Silent()).page)
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;alert" in page
    assert "⟨U+202E⟩" in page


def test_redacted(traced: tracing.TraceResult, tmp_path: Path) -> None:
    page = tracing.page(traced.artefact.folder, tmp_path, Silent(), redact=True)
    text = html(page)
    assert "glimmer" not in text
    assert "Verdania" not in text.lower().title()
    assert "made with --redact" in text
    assert "row 0" in text or "row 2" in text


def test_nothing_to_show(tmp_path: Path) -> None:
    inputs = TraceInputs(
        made_responses([("Hi", "Hello.")], tmp_path), made_rows([("A", "B")], tmp_path)
    )
    found = tracing.run(
        build(TraceConfig, {"embeddings": False, "surprisal": False}), inputs, tmp_path, Silent()
    )
    assert "No span of 1 answer leads to a row." in html(found.page)
    assert block(found.artefact.about)["picture"] is None


def test_the_block_says_nothing_beyond_chance(traced: tracing.TraceResult) -> None:
    about = json.loads(json.dumps(traced.artefact.about))
    found = checked(block(about))
    assert found["sentences"][0] == "60 spans in 30 of 30 answers lead to a row."
    assert "of answers better than any row held out before tuning; by" in found["sentences"][2]
    held = about["found"]["held_out"]
    held |= {"n_found": 0, "lowest_q": 0.4, "conclusion": "undecided"}
    held["wins"]["conclusion"] = "undecided"
    said = checked(block(about))["sentences"]
    assert "No span stands out at a false discovery rate of 0.1; the lowest q is 0.4." in said
    assert "Nothing was found beyond chance." in said
    held |= {"n_rows_found": 0, "lowest_q_of_rows": 0.25}
    assert rows_found(held).endswith(
        "(rows, not spans; rows that stayed together as one); the lowest q of a row is 0.25."
    )
    held |= {"n_rows_found": 1}
    assert rows_found(held).startswith("1 row is found")
    assert "no row wins" in rows_found({**held, "n_rows_found": 0, "lowest_q_of_rows": None})


def test_a_control_unlike_the_rows_is_said(traced: tracing.TraceResult) -> None:
    about = json.loads(json.dumps(traced.artefact.about))
    interval = {"estimate": 0.97, "low": 0.95, "high": 0.99, "reason": None}
    share = {"estimate": 0.7, "low": 0.6, "high": 0.8, "reason": None}
    about["found"]["controls"] = {
        "dolly": {"share": share, "chance": 0.8, "n_rows": 9, "conclusion": "undecided",
                  "auroc": interval}
    }  # fmt: skip
    found = checked(block(about))
    assert any("unlike the rows" in one and "0.97 [0.95, 0.99]" in one for one in found["cautions"])
    assert any(row["label"] == "dolly (chance 80.0%)" for row in found["picture"]["rows"])
    assert found["picture"]["line"] is None  # two chances, so none is drawn


def test_a_page_of_the_artefact_alone(traced: tracing.TraceResult, tmp_path: Path) -> None:
    again = tracing.page(traced.artefact.folder, tmp_path, Silent())
    assert again.id == traced.page.id
    with pytest.raises(ArtefactError, match="give a trace-… artefact"):
        tracing.page(traced.inputs.rows.folder, tmp_path, Silent())
    other = TraceInputs(made_responses([("A", "B")], tmp_path), traced.inputs.rows)
    with pytest.raises(ArtefactError, match="did not go into"):
        page_run(ReportConfig(), traced.artefact, other, tmp_path, Silent())


def test_around_shows_what_is_shared_and_leaves_the_rest_out() -> None:
    text = "a" * 1000 + "SHARED" + "b" * 1000
    pieces = trace_spans.around(text, [(1000, 1006)])
    assert pieces[0] == (" … ", False)
    assert ("SHARED", True) in pieces
    assert pieces[-1] == (" …", False)
    assert sum(len(piece) for piece, _ in pieces) < 500
    assert trace_spans.around(text, [(1000, 1004), (1002, 1006)])[2] == ("SHARED", True)
    assert trace_spans.around("short", []) == [("short", False)]
    assert trace_spans.around("", [(0, 3)]) == []
    assert "".join(p for p, _ in trace_spans.around("abcdef", [(2, 3), (4, 5)])) == "abcdef"


def test_bars_are_shares_of_the_largest() -> None:
    empty = dict.fromkeys(trace_spans.LABELS)
    one = {**empty, "concept": 2.0, "shift_nats": -1.0}
    other = {**empty, "concept": 8.0, "shift_nats": 3.0, "exact": 5.0}
    found = trace_spans.bars(one, [one, other])
    assert found == [
        ("longest exact run", "–", None),
        ("prompt to row (BM25)", "2.00", 25.0),
        ("shift of the span", "-1.00", 0.0),
    ]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM))
        yield started
        started.close()


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
def test_in_a_browser(browser: Any, traced: tracing.TraceResult, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, offline=True)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(traced.report_path.as_uri())
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".findings a").first.click()
    assert page.locator(".spans li:target").count() == 1
    widths = page.locator("svg.bar .fill").evaluate_all("bars => bars.map(b => b.getBBox().width)")
    assert max(widths) == 100
    # a span of a row that is folded away opens it
    last = page.locator("sup.sign a").last
    last.click()
    assert page.locator(".spans li:target").is_visible()
    context.close()
