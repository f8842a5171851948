"""Figures that stand alone, and what a result shows of itself in a notebook."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from made_blocks import control_artefact, interval_row, intervals_picture, made_block
from made_report import HOSTILE, random_model

from aftertune.audit_result import AuditedModel, AuditResult
from aftertune.progress import Silent
from aftertune.report import look
from aftertune.report.config import ReportConfig
from aftertune.report.figures import figures_of
from aftertune.report.look import PALETTE, RULES, inlined
from aftertune.report.run import ReportInputs, figures, run, shown

MODELS = ["moved", "shares", "along", "sentences", "losses"]


@pytest.fixture
def inputs(tmp_path: Path, made_control: None) -> ReportInputs:
    models = [random_model(tmp_path, name, 4, 20, 0.1, k) for k, name in enumerate(["full", "lo"])]
    rows = intervals_picture([interval_row(HOSTILE + "\ufffe", 0.1, 0.05, 0.2)], (0.0, "none"))
    block = made_block("full", picture=rows, question=HOSTILE)
    return ReportInputs(models, controls=[control_artefact(tmp_path, block)])


def test_every_picture_is_a_figure_that_stands_alone(inputs: ReportInputs, tmp_path: Path) -> None:
    found = figures(inputs)
    assert list(found) == [*MODELS, "made/full"]
    for name, figure in found.items():
        root = ElementTree.fromstring(figure.svg)
        assert root.tag == f"{{{look.SVG}}}svg"
        assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
        for element in root.iter():
            assert element.tag.split("}")[1] not in ("style", "script", "image", "foreignObject")
            assert not {"class", "href", "src", "style"} & set(element.attrib)
            assert not [value for value in element.attrib.values() if "var(" in value]
        assert figure._repr_svg_() == figure.svg
        saved = figure.save(tmp_path / "figure.svg")
        assert saved.read_text(encoding="utf-8") == figure.svg
        assert figure.name == name
        assert "<svg" not in repr(figure)


def test_a_figure_has_its_title_and_the_names_of_its_models(inputs: ReportInputs) -> None:
    found = figures(inputs)
    for name in ("along", "shares"):
        words = [e.text for e in ElementTree.fromstring(found[name].svg).iter() if e.text]
        assert words[0] == found[name].title
        assert {"full", "lo"} <= set(words)
    legend = "".join(ElementTree.fromstring(found["shares"].svg).itertext())
    assert "unshiftedmarginalshifted" in legend


def test_the_page_has_the_same_figures(inputs: ReportInputs, tmp_path: Path) -> None:
    page = run(ReportConfig(), inputs, tmp_path, Silent())
    assert figures_of(shown(page)) == figures(inputs)


def test_looks_become_attributes() -> None:
    found = inlined(f'<svg xmlns="{look.SVG}"><path class="mark hollow m1" d="M0 0"/></svg>')
    element = ElementTree.fromstring(found)[0]
    assert element.attrib == {
        "d": "M0 0",
        "fill": PALETTE["page"][0],
        "stroke": PALETTE["m1"][0],
        "stroke-width": "2",
    }


def test_the_page_gets_the_same_looks() -> None:
    css = look.css()
    assert "svg .mark.hollow { fill: var(--page); stroke-width: 2; }" in css
    assert f"--m1: {PALETTE['m1'][1]};" in css.split("prefers-color-scheme: dark")[1]
    used = set(re.findall(r"var\(--([\w-]+)\)", " ".join(str(rule) for _, rule in RULES)))
    assert used - {"c"} <= set(PALETTE)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, list[Any]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, attrs))
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_result_shows_itself_in_a_notebook(inputs: ReportInputs, tmp_path: Path) -> None:
    page = run(ReportConfig(title=HOSTILE), inputs, tmp_path, Silent())
    models = {m.name: AuditedModel(m.name, m.responses, m.shift) for m in inputs.models}
    result = AuditResult(models, None, None, page)
    assert list(result.figures) == [*MODELS, "made/full"]
    html = result._repr_html_()
    tags = Tags(html)
    assert tags.open == []
    assert {tag for tag, _ in tags.seen} == {
        "div", "p", "strong", "br", "ul", "li", "table", "thead", "tbody", "tr", "th", "td",
        "small", "details", "summary",
    }  # fmt: skip
    assert {name for _, attrs in tags.seen for name, _ in attrs} == {"scope"}
    view = shown(page)
    assert view["conclusion"]["findings"][0].split(":")[0] in html
    assert view["table"][0]["cells"][0]["text"] in html
    assert "<script" not in html
    assert str(result.report_path) in html
    assert len(result.shift.to_pandas()) == sum(m["n_tokens"] for m in view["models"])
