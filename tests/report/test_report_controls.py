"""The controls on the page: every block with its question, escaped; what is absent says why."""

import json
from pathlib import Path
from typing import Any

import pytest
from made_blocks import control_artefact, curve_picture, interval_row, intervals_picture, made_block
from made_report import HOSTILE, model_artefacts, response_record, token_record, write

from aftertune.artefact import Artefact
from aftertune.errors import ArtefactError, InternalError
from aftertune.progress import Silent
from aftertune.report.blocks import BUILDERS
from aftertune.report.blocks.shape import checked
from aftertune.report.config import ReportConfig
from aftertune.report.controls import NONE_RUN, section
from aftertune.report.run import VERSION, ReportInputs, ReportModel, run, shown

ROWS = intervals_picture([interval_row("raw", 0.1, 0.05, 0.2)], (0.001, "noise floor"))


def model(out: Path, name: str = "m") -> ReportModel:
    response = response_record(0, name, "The")
    return model_artefacts(out, name, [(response, [token_record(response["response_id"], 0)])])


def page(out: Path, *controls: Artefact, **options: Any) -> tuple[str, dict[str, Any]]:
    inputs = ReportInputs([model(out, "model")], controls=controls)
    found = run(ReportConfig(**options), inputs, out, Silent())
    return (found.folder / "report.html").read_text(encoding="utf-8"), shown(found)


@pytest.mark.usefixtures("made_control")
def test_a_block_is_on_the_page_with_all_its_parts(tmp_path: Path) -> None:
    block = made_block(
        "m",
        sentences=["KL is 0.153 [0.127, 0.185] nats under raw."],
        picture=ROWS,
        table={"columns": ["template", "KL"], "rows": [["raw", "0.100 of the table"]]},
        cautions=["One seed only."],
    )
    text, _ = page(tmp_path, control_artefact(tmp_path, block))
    section_text = text.split('id="section-controls"')[1].split("</section>")[0]
    assert "Controls: what else could it be?" in section_text
    assert "<h3>Is it the template?</h3>" in section_text
    assert '0.153 <span class="range">[0.127, 0.185]</span> nats' in section_text
    assert section_text.count("<svg") == 2
    assert "0.100 of the table" in section_text
    assert "One seed only." in section_text
    assert NONE_RUN not in section_text


def test_without_controls_the_page_says_what_stays_possible(tmp_path: Path) -> None:
    text, view = page(tmp_path)
    assert NONE_RUN in text
    assert view["controls"] == []


@pytest.mark.usefixtures("made_control")
def test_blocks_of_one_question_stand_together_in_the_order_of_the_builders() -> None:
    def manifest(name: str, question: str, **values: Any) -> dict[str, Any]:
        block = made_block(name, question=question, picture=ROWS, **values)
        return {"stage": "control-made", "about": {"block": block, "name": name}}

    unknown = {
        "stage": "control-template",
        "about": {"name": "b", "found": {}, "absent": {"template": "nothing to render"}},
    }
    given = [manifest("a", "One?"), manifest("b", "Two?"), manifest("b", "One?"), unknown]
    found = section(given, {"a": 0, "b": 1})
    assert [group["question"] for group in found][1:] == ["One?", "Two?"]
    assert [block["style"] for block in found[1]["blocks"]] == [0, 1]
    assert [block["key"] for block in found[1]["blocks"]] == ["made/a", "made/b-2"]
    assert found[0]["blocks"][0]["control"] == "template"


@pytest.mark.usefixtures("made_control")
def test_what_is_absent_is_said_once(tmp_path: Path) -> None:
    block = made_block("m", cautions=["Not measured: the rows are unknown."])
    absent = {"null_own": "the rows are unknown.", "two_seeds": "nobody tuned <twice>"}
    text, view = page(tmp_path, control_artefact(tmp_path, block, absent))
    assert view["controls"][0]["blocks"][0]["absent"] == [["two_seeds", "nobody tuned <twice>"]]
    assert "Not measured (two seeds): nobody tuned &lt;twice&gt;" in text
    assert text.count("the rows are unknown") == 1


# these end in an error where they cannot run, so there is no artefact that found nothing
RAISING = {"sweep", "trace", "verify", "crossed-halves", "risk", "recall", "judge", "harness",
           "behaviour", "study", "lab-study"}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in BUILDERS if name not in RAISING])
def test_a_control_that_could_not_be_run_says_why(tmp_path: Path, name: str) -> None:
    about = {"control": name, "name": "m", "names": ["m"], "found": {},
             "absent": {name: "the rows of m are unknown"}}  # fmt: skip
    control = write(tmp_path, f"control-{name}", {}, about=about, key=name)
    text, _ = page(tmp_path, control)
    assert text.count("the rows of m are unknown") == 1


@pytest.mark.usefixtures("made_control")
def test_hostile_text_stays_text(tmp_path: Path) -> None:
    block = made_block(
        HOSTILE, question=HOSTILE, sentences=[HOSTILE, "[<b>, x]"], cautions=[HOSTILE],
        table={"columns": [HOSTILE], "rows": [[HOSTILE]]},
        picture=intervals_picture(
            [interval_row(HOSTILE, 0.1, 0.05, 0.2), interval_row("x", reason=HOSTILE)],
            (0.1, HOSTILE),
        ),
    )  # fmt: skip
    curve = made_block("m", picture=curve_picture({HOSTILE: [(1, 0.1)]}, [1]))
    curve["picture"] |= {"x_label": HOSTILE, "y_label": HOSTILE}
    controls = [
        control_artefact(tmp_path, given, {HOSTILE: HOSTILE + str(k)}, key=str(k))
        for k, given in enumerate([block, curve])
    ]
    text, _ = page(tmp_path, *controls)
    assert "<script>document" not in text
    assert "<img" not in text
    assert "<!-- " not in text
    assert "\u202e" not in text
    assert text.count("<script") == 2


def test_a_stage_that_is_no_control_is_refused(tmp_path: Path) -> None:
    made = model(tmp_path)
    with pytest.raises(ArtefactError, match="is no control that the report knows; give control-"):
        page(tmp_path, made.shift)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"picture": {**ROWS, "kind": "pie"}}, "picture"),
        ({"sentences": "one"}, "sentences"),
        ({"picture": intervals_picture([interval_row("raw", float("nan"))])}, "picture"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_block_of_another_shape_is_our_fault(change: dict[str, Any], place: str) -> None:
    with pytest.raises(InternalError, match=f"a control's block is wrong at {place}"):
        checked(made_block() | change)


@pytest.mark.usefixtures("made_control")
def test_controls_name_another_page(tmp_path: Path) -> None:
    """A control that is added makes another artefact; its id is among what the page was made of."""
    control = control_artefact(tmp_path, made_block("m"))
    models = [model(tmp_path)]
    without = run(ReportConfig(), ReportInputs(models), tmp_path, Silent())
    inputs = ReportInputs(models, controls=[control])
    found = run(ReportConfig(), inputs, tmp_path, Silent())
    assert found.id != without.id
    assert ["control-made m", control.id] in shown(found)["how"]["inputs"]
    assert (
        json.loads((found.folder / "manifest.json").read_text("utf-8"))["stage_version"] == VERSION
    )
