"""The page and its pictures: self-contained, escaped, and drawn where the numbers say."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_report import (
    HOSTILE,
    model_artefacts,
    random_model,
    response_record,
    text_artefact,
    token_record,
)

from aftertune.errors import ArtefactError, InputError
from aftertune.progress import Silent
from aftertune.report import charts
from aftertune.report.config import ReportConfig
from aftertune.report.frame import quiet_intervals
from aftertune.report.page import inline_json
from aftertune.report.run import ReportInputs, ReportModel, run
from aftertune.report.svg import linear, ticks


class Page(HTMLParser):
    """What a browser would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag in self.inside:
            self.inside[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in self.inside:
            self.inside[self._open][-1] += data


@pytest.fixture(scope="module")
def demo_page(demo: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(ReportConfig(), demo, tmp_path_factory.mktemp("page"), Silent()).folder


def test_the_demo_is_small_and_whole(demo_page: Path) -> None:
    page = (demo_page / "report.html").read_bytes()
    assert len(page) < 3_000_000
    text = page.decode("utf-8")
    assert text.lstrip().lower().startswith("<!doctype html>")
    for section in ("conclusion", "models", "pictures", "tokens", "answers", "rows", "how"):
        assert f'id="section-{section}"' in text
    assert "full-5e-5 moved further than lora-5e-5" in text


def test_nothing_is_loaded_and_only_our_script_runs(demo_page: Path) -> None:
    page = Page((demo_page / "report.html").read_text(encoding="utf-8"))
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form", "audio")
        assert "src" not in attributes
        assert "style" not in attributes  # the policy forbids it
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    data, script = page.inside["script"]
    (style,) = page.inside["style"]
    for text in (script, style):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "url(" not in style
    assert "innerHTML" not in script
    assert len(json.loads(data)["prompts"]) == 32


def test_the_summary_is_beside_the_page(demo_page: Path) -> None:
    found = json.loads((demo_page / "summary.json").read_text(encoding="utf-8"))
    assert [m["name"] for m in found["models"]] == ["full-5e-5", "lora-5e-5", "lora-2e-4"]
    assert found["answers"] is None
    assert found["conclusion"]["findings"]


def test_the_same_inputs_are_answered_once(demo: ReportInputs, demo_page: Path) -> None:
    before = (demo_page / "report.html").stat().st_mtime_ns
    again = run(ReportConfig(), demo, demo_page.parent, Silent())
    assert again.folder == demo_page
    assert (again.folder / "report.html").stat().st_mtime_ns == before
    other = run(ReportConfig(title="Another"), demo, demo_page.parent, Silent())
    assert other.folder != demo_page


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_inlined_json_cannot_end_its_element(value: Any) -> None:
    text = str(inline_json(value))
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_hostile_text_reaches_the_page_as_text(tmp_path: Path) -> None:
    response = response_record(0, "m", HOSTILE, question=HOSTILE)
    token = token_record(response["response_id"], 0, char_end=len(HOSTILE), category="shifted",
                         token=HOSTILE, token_id=999)  # fmt: skip
    made = model_artefacts(tmp_path, "m", [(response, [token])])
    model = ReportModel(HOSTILE, made.shift, made.responses, made.tune)
    folder = run(ReportConfig(title=HOSTILE), ReportInputs([model]), tmp_path, Silent()).folder
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.inside["script"]) == 2
    assert not [t for t, _ in page.tags if t == "img"]
    assert "<script>document" not in text
    assert "<!-- " not in text


def test_the_page_is_the_same_wherever_it_is_made(tmp_path: Path) -> None:
    """No folder of the artefacts shows; they are named by their ids."""
    pages = []
    for name in ("one", "two/deeper"):
        out = tmp_path / name
        out.mkdir(parents=True)
        models = [random_model(out, "m", 3, 12, 0.1, 0)]
        inputs = ReportInputs(models, text_artefact(out, "rows"), text_artefact(out, "prompts"))
        folder = run(ReportConfig(), inputs, out, Silent()).folder
        pages.append([(folder / file).read_bytes() for file in ("report.html", "summary.json")])
        assert str(out).encode() not in pages[-1][0]
    assert pages[0] == pages[1]
    assert b"tune-0123456789abcdef" in pages[0][0]


def test_a_redacted_page(tmp_path: Path) -> None:
    response = response_record(0, "m", "Jupiter", question="confidential")
    made = model_artefacts(tmp_path, "m", [(response, [token_record(response["response_id"], 0)])])
    folder = run(ReportConfig(redact=True), ReportInputs([made]), tmp_path, Silent()).folder
    for name in ("report.html", "summary.json", "manifest.json"):
        text = (folder / name).read_text(encoding="utf-8")
        assert "Jupiter" not in text
        assert "confidential" not in text
    assert "<script" not in (folder / "report.html").read_text(encoding="utf-8")


def test_a_shift_without_its_pieces_is_refused(tmp_path: Path) -> None:
    response = response_record(0, "m", "The")
    made = model_artefacts(
        tmp_path, "m", [(response, [token_record(response["response_id"], 0)])], pieces=None
    )
    with pytest.raises(ArtefactError, match=r"has no pieces\.json"):
        run(ReportConfig(), ReportInputs([made]), tmp_path, Silent())


def test_wrong_inputs_are_one_sentence(tmp_path: Path) -> None:
    response = response_record(0, "m", "The")
    made = model_artefacts(tmp_path, "m", [(response, [token_record(response["response_id"], 0)])])
    with pytest.raises(InputError, match="at least one tuned model"):
        run(ReportConfig(), ReportInputs([]), tmp_path, Silent())
    with pytest.raises(InputError, match="two models are called m"):
        run(ReportConfig(), ReportInputs([made, made]), tmp_path, Silent())
    mixed = ReportModel("m", made.responses, made.shift)
    with pytest.raises(ArtefactError, match="give a shift artefact"):
        run(ReportConfig(), ReportInputs([mixed]), tmp_path, Silent())


def test_intervals_are_marked_and_escaped() -> None:
    found = str(quiet_intervals("<b> moved 0.1 [0.05, 0.2] nats"))
    assert found == '&lt;b&gt; moved 0.1 <span class="range">[0.05, 0.2]</span> nats'
    assert str(quiet_intervals("[<i>, x]")) == '<span class="range">[&lt;i&gt;, x]</span>'


def test_scales_and_ticks_by_hand() -> None:
    scale = linear(0.0, 0.2, 10.0, 110.0)
    assert [scale(0.0), scale(0.05), scale(0.2)] == [10.0, 35.0, 110.0]
    assert linear(1.0, 1.0, 10.0, 110.0)(1.0) == 10.0
    assert ticks(0.0, 0.17) == [0.0, 0.05, 0.1, 0.15, 0.2]
    assert ticks(1.3, 2.6, 4) == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert ticks(0.0, 0.0)[-1] == 1.0


@given(st.floats(0, 1e6), st.floats(1e-9, 1e6))
def test_ticks_cover_the_values(low: float, width: float) -> None:
    found = ticks(low, low + width)
    assert found[0] <= low * (1 + 1e-9) + 1e-12
    assert found[-1] >= (low + width) * (1 - 1e-9)
    assert 2 <= len(found) <= 13


def estimate(value: float, spread: float = 0.01) -> dict[str, Any]:
    return {"estimate": value, "low": value - spread, "high": value + spread, "n": 9}


def drawn(name: str = "m", **values: Any) -> dict[str, Any]:
    shares = {"unshifted": 0.9, "marginal": 0.06, "shifted": 0.04}
    return {
        "name": name, "style": 0, "kl": estimate(0.1), "floor": 0.001,
        "shares": {c: estimate(v) for c, v in shares.items()}, "along": [],
        "sentence_start": estimate(0.3), "sentence_rest": estimate(0.1), "loss": [], "n_steps": 2,
    } | values  # fmt: skip


def test_bars_are_as_wide_as_their_shares() -> None:
    picture = charts.shares([drawn()])
    assert picture is not None
    wide = str(picture.drawing).split("<svg")[1]
    widths = {
        c: float(w)
        for c, w in re.findall(r'segment (\w+)" x="[\d.]+" y="[\d.]+" width="([\d.]+)', wide)
    }
    # the bar reaches from 10 to 546
    assert widths == pytest.approx({"unshifted": 482.4, "marginal": 32.2, "shifted": 21.4}, abs=0.1)


def test_the_mean_and_its_interval_lie_on_the_axis() -> None:
    picture = charts.moved([drawn()])
    assert picture is not None
    # the axis reaches from 0 at 10 to 0.15 at 546: 0.09 lies at 10 + 0.6 * 536
    assert ticks(0.0, 0.11)[-1] == 0.15
    wide = str(picture.drawing).split("<svg")[1]
    low, high = re.search(
        r'x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)" y2="[\d.]+" class="range', wide
    ).groups()  # type: ignore[union-attr]
    assert (float(low), float(high)) == pytest.approx((331.6, 403.1), abs=0.1)
    assert picture.rows == [["m", "0.100", "[0.090, 0.110]", "0.00100"]]


def test_pictures_without_numbers_are_left_out() -> None:
    nothing = {"estimate": None, "low": None, "high": None, "n": 0}
    empty = drawn(kl=nothing, shares=dict.fromkeys(charts.CATEGORIES, nothing), floor=None,
                  sentence_start=nothing, sentence_rest=nothing)  # fmt: skip
    assert charts.pictures([empty]) == []
    assert charts.pictures([]) == []


def test_pictures_of_odd_models() -> None:
    alone = {"estimate": 0.0, "low": None, "high": None, "n": 1}
    along = [{"start": 0, "end": 1, **estimate(0.2)}, {"start": 1, "end": 2, **alone}]
    models = [
        drawn(HOSTILE, along=along, loss=[(1.0, 2.0)]),
        drawn("b", style=7, kl=alone, floor=None),
    ]
    found = charts.pictures(models)
    assert [p.key for p in found] == ["moved", "shares", "along", "sentences", "losses"]
    for picture in found:
        assert "<script" not in str(picture.drawing)
        assert "nan" not in str(picture.drawing)
        assert str(picture.drawing).count("<svg") == 2
