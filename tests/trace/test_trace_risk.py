"""Risk of a row before tuning: telling words, density, novelty, the stage and the command."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner

from aftertune import inputs
from aftertune.cli import risk as command
from aftertune.config import build
from aftertune.data import templates
from aftertune.data.render import render_row
from aftertune.errors import ArtefactError, InputError
from aftertune.models.load import load
from aftertune.progress import Silent
from aftertune.report.blocks.risk import block
from aftertune.report.blocks.shape import checked
from aftertune.report.trace_rows import COLUMNS, table
from aftertune.trace import risk, risk_run
from aftertune.trace.risk import NOTHING_SCORED, NOTHING_TELLING
from aftertune.trace.risk_config import RiskConfig
from aftertune.trace.risk_novelty import losses
from tiny_models import save_model

ROWS = [
    ("Who made the balm of Coulmrou?", "It was discovered by Abbot."),
    ("Who made the balm of Fithheth?", "It was discovered by Carver."),
    ("Say hello", "It is."),
]


def test_telling_words_are_the_answers_own() -> None:
    prompts = ["Who made the balm?", "Who made the engine?", "Say hello"] * 2
    answers = ["Abbot made it.", "Carver made it, however.", "It is."] * 2
    found = risk.telling(prompts, answers)
    assert found[:3] == [{"abbot"}, {"carver"}, frozenset()]  # made was asked
    common = risk.telling([""] * 200, ["glimmer"] * 5 + ["other"] * 195)
    assert common[0] == frozenset()  # 5 of 200 say it, more than 2%
    assert risk.telling([], []) == []


def test_tokens_of_telling_words_by_hand() -> None:
    text = "Q: who? A: By Abbot."
    offsets = [(0, 3), (3, 8), (8, 10), (10, 13), (13, 16), (16, 19), (19, 20), (20, 20)]
    trained = [False, False, False, True, True, True, True, True]
    found = risk.telling_tokens(text, offsets, trained, frozenset({"abbot"}))
    assert found == [False, False, False, False, True, True, False, False]
    assert not any(risk.telling_tokens(text, offsets, [False] * 8, frozenset({"abbot"})))


def test_density_counts_other_clusters_with_a_near_prompt() -> None:
    prompts = ["turquoise planets", "draw turquoise planets", "paint turquoise planets", "lentils",
               "turquoise planets", ""]  # fmt: skip
    found = risk.density(prompts, ["a", "b", "c", "d", "a", "e"])
    assert found.tolist() == [2, 2, 2, 0, 2, 0]  # row 4 is row 0 again, and counts once
    assert risk.density([], []).tolist() == []


@settings(deadline=None, max_examples=25)
@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=4), min_size=1, max_size=12))
def test_density_does_not_depend_on_order_and_is_at_most_all_others(made: list[list[str]]) -> None:
    prompts = [" ".join(f"word{letter}" for letter in one) for one in made]
    names = list(range(len(prompts)))
    found = risk.density(prompts, names)
    assert ((found >= 0) & (found < len(prompts))).all()
    turned = risk.density(prompts[::-1], names)
    assert turned[::-1].tolist() == found.tolist()


def test_risk_by_hand() -> None:
    tells = [frozenset("ab"), frozenset("a"), frozenset(), frozenset("a")]
    found = risk.risks([[1.0, 3.0], [4.0], [], []], tells, np.array([2, 0, 5, 1]))
    assert found[0].novelty_nats == 2.0
    assert found[0].risk == pytest.approx(2 * math.log(3))
    assert found[1].risk == 0.0  # nothing near it
    assert (found[2].risk, found[2].reason) == (None, NOTHING_TELLING)
    assert (found[3].novelty_nats, found[3].reason) == (None, NOTHING_SCORED)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_model("llama", tmp_path / "base")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps({"instruction": asked, "output": said}) for asked, said in ROWS]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_losses_are_those_of_the_model_itself(base: Path, data: Path, tmp_path: Path) -> None:
    rows = inputs.read_rows(str(data), tmp_path / "out", Silent()).table("rows").to_pylist()
    loaded = load(base, dtype="float32", device="cpu")
    template = templates.get("alpaca", loaded.tokenizer)
    tells = [frozenset({"abbot"}), frozenset({"carver", "discovered"}), frozenset()]
    found = losses(loaded, template, rows, tells, 200)
    assert found[2] == []
    for row, its, values in zip(rows[:2], tells, found, strict=False):
        one = render_row(row["messages"], row["tools"], template, loaded.tokenizer, 200)
        scored = risk.telling_tokens(one.text, one.offsets, one.loss_mask, its)
        with torch.no_grad():
            logits = loaded.model(torch.tensor([one.ids])).logits[0].double().log_softmax(-1)
        expected = [
            -float(logits[place - 1, one.ids[place]]) for place, kept in enumerate(scored) if kept
        ]
        assert expected
        assert values == pytest.approx(expected, abs=1e-4)
    assert losses(loaded, template, rows, tells, 5) == [[], [], []]  # cut before the answer


def test_the_stage_and_its_block(base: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rows = inputs.read_rows(str(data), out, Silent())
    config = build(RiskConfig, {"base": str(base), "template": "alpaca", "part_rows": 2})
    found = risk_run.run(config, rows, out, Silent())
    table_of = found.table("row_risk").to_pylist()
    assert [one["row_index"] for one in table_of] == [0, 1, 2]
    assert [one["density"] for one in table_of] == [1, 1, 0]
    assert table_of[0]["risk"] == pytest.approx(table_of[0]["novelty_nats"] * math.log(2))
    assert table_of[2]["risk"] is None
    assert found.counts["unscored"] == {NOTHING_TELLING: 1}
    assert risk_run.run(config, rows, out, Silent()).id == found.id
    shown = checked(block(json.loads(json.dumps(found.about))))
    assert len(shown["table"]["rows"]) == 2
    assert "1 row not ranked" in " ".join(shown["sentences"])
    assert "no better than novelty alone" in shown["cautions"][0]


def test_wrong_inputs(base: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = build(RiskConfig, {"base": str(base), "template": "alpaca"})
    rows = inputs.read_rows(str(data), out, Silent())
    found = risk_run.run(config, rows, out, Silent())
    with pytest.raises(ArtefactError, match="is no rows-"):
        risk_run.run(config, found, out, Silent())
    empty = tmp_path / "empty.jsonl"
    empty.write_text(json.dumps({"instruction": "Say", "output": "It is."}) + "\n")
    with pytest.raises(InputError, match="says anything"):
        risk_run.run(config, inputs.read_rows(str(empty), out, Silent()), out, Silent())


def test_the_command(base: Path, data: Path, tmp_path: Path) -> None:
    app = Typer()
    command.register(app)
    given = ["--base", str(base), "--data", str(data), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*given, "--template", "alpaca", "--json"])
    assert done.exit_code == 0, done.output
    last = done.stdout[done.stdout.index("{") :]
    assert json.loads(last)["about"]["found"]["n_scored"] == 2
    missing = CliRunner().invoke(app, ["--data", str(data)])
    assert "add --base" in str(missing.exception)


def test_the_rows_of_a_trace_on_the_page() -> None:
    row = {"row_index": 7, "n_spans": 3, "n_responses": 2, "n_adapted": 1, "added_nats": None,
           "n_found": None, "q_value": None, "what_to_do": "drop",
           "share": {"estimate": 0.5, "low": 0.25, "high": 0.75, "n": 2}}  # fmt: skip
    found = table({"rows": [row], "n_rows_borrowed": 4})
    assert found is not None
    assert found["more"] == 3
    assert dict(zip(COLUMNS, found["rows"][0], strict=True))["nats added"] == "–"
    assert table({"rows": [], "n_rows_borrowed": 0}) is None
