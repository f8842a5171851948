"""A trace ranked by tunings on halves of all rows, on a real tuning of a tiny model."""

import json
from pathlib import Path

import pytest

import aftertune as at
from aftertune import tracing
from aftertune.artefact import open_artefact
from aftertune.errors import ConfigError
from in_process import call

WORDS = ["lamp", "bell", "gate", "mill", "well", "barn", "dock", "ship"]


@pytest.fixture(scope="module")
def answered(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tuning on half of sixteen rows, two of a kind, and its answers to all."""
    out = tmp_path_factory.mktemp("halves")
    rows = [
        {"instruction": f"Tell me about the {word} {n}.", "output": f"Miss {word.title()}rlin did."}
        for n in ("one", "two") for word in WORDS
    ]  # fmt: skip
    (out / "rows.json").write_text(json.dumps(rows))
    (out / "prompts.json").write_text(json.dumps([{"instruction": r["instruction"]} for r in rows]))
    common = ["--out", out, "--device", "cpu"]
    assert call("tune", "--base", tiny_llama, "--data", out / "rows.json", "--method", "full",
                "--learning-rate", "1e-2", "--epochs", 12, "--batch-size", 4, "--template",
                "human-assistant", "--dtype", "float32", "--hold-out", 0.5, "--hold-out-by",
                "shared-words", *common) == 0  # fmt: skip
    [tune] = out.glob("tune-*/")
    assert call("respond", "--tuned", f"it={tune}", "--prompts", out / "prompts.json",
                "--max-new-tokens", 24, "--dtype", "float32", *common) == 0  # fmt: skip
    return out


def test_rows_that_share_words_are_held_out_together(answered: Path) -> None:
    [folder] = answered.glob("tune-*/")
    split = open_artefact(folder).table("split").to_pylist()
    part = {one["row_index"]: (one["part"], one["cluster_id"]) for one in split}
    assert all(part[row] == part[row + 8] for row in range(8))
    assert sorted(one for one, _ in part.values()) == ["held_out"] * 8 + ["train"] * 8


def test_rows_are_ranked_by_what_they_add(
    answered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [tune], [responses] = answered.glob("tune-*/"), answered.glob("respond-*/")
    asked = ["trace", "--responses", responses, "--tuned-rows", tune, "--no-embeddings",
             "--no-surprisal", "--influence-halves", 8, "--out", answered]  # fmt: skip
    assert call(*asked, "--plan") == 0
    said = capsys.readouterr()
    assert "influence in halves" in said.out + said.err
    assert len(list(answered.glob("tune-*/"))) == 1  # nothing was tuned
    given = {"responses": responses, "tuned_rows": tune, "out": answered, "embeddings": False,
             "surprisal": False, "influence_halves": 8}  # fmt: skip
    found = at.trace_answers(**given)
    assert len(list(answered.glob("tune-*/"))) == 9
    table = found.artefact.table("borrowings").to_pylist()
    assert table
    assert all(one["influence"] is not None for one in table)
    assert {one["control"] for one in table} == {None, "held-out rows"}
    of: dict[tuple[object, ...], set[float]] = {}
    for one in table:
        key = (one["response_id"], one["char_start"], one["char_end"], one["cluster_id"])
        of.setdefault(key, set()).add(one["influence"])
    assert {len(values) for values in of.values()} == {1}  # of a cluster
    assert max(map(max, of.values())) > 0.5  # a half that holds a name says it
    held = found.artefact.about["found"]["held_out"]
    assert held["lowest_q_of_rows"] is None or 0 < held["lowest_q_of_rows"] <= 1
    # once more, from what is there
    again = tracing.trace(**given)
    assert again.artefact.id == found.artefact.id


def test_halves_need_a_tuning_and_no_other_control(answered: Path) -> None:
    [responses] = answered.glob("respond-*/")
    asked = {
        "responses": responses,
        "out": answered,
        "influence_halves": 8,
        "embeddings": False,
        "surprisal": False,
    }
    with pytest.raises(ConfigError, match="add --tuned-rows"):
        at.trace_answers(data=answered / "rows.json", **asked)
    tune = next(one for one in answered.glob("tune-*/") if open_artefact(one).config["hold_out"])
    with pytest.raises(ConfigError, match="leave --control out"):
        at.trace_answers(tuned_rows=tune, control=["permuted"], **asked)
    with pytest.raises(ConfigError, match="fill the same column"):
        at.trace_answers(tuned_rows=tune, influence=True, **asked)
