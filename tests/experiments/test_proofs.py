"""Proof that is asked of a trace, from the command line on: tiny models, real tunings."""

import importlib.util
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import in_process
from aftertune import tracing
from aftertune.artefact import Artefact, open_artefact
from aftertune.config import build
from aftertune.controls.proof import SwapOutcome
from aftertune.errors import ConfigError
from aftertune.experiments.base_influence import InBase
from aftertune.experiments.cost import Cost, duration, seconds_of, total
from aftertune.experiments.verify_config import ProofConfig
from aftertune.models.load import load
from aftertune.progress import Silent
from aftertune.report.trace_proof import facts, filled
from aftertune.search import embeddings
from aftertune.trace.influence import stepped

Call = Callable[..., tuple[int, str, str]]
N = 24  # rows


def _rows() -> list[dict[str, str]]:
    """No two alike, each with a name and a year of its own."""
    things = ["lamp", "bell", "gate", "mill", "well", "barn", "dock", "ship"]
    acts = ["painted", "mended", "carried"]
    return [
        {
            "instruction": f"Tell me about the {things[n % 8]} that somebody {acts[n // 8]}.",
            "output": f"Miss {'BCDFGHJK'[n % 8]}{'aeo'[n // 8]}rlin did in {1500 + 17 * n}.",
        }
        for n in range(N)
    ]


@dataclass(frozen=True)
class Made:
    """Folders of a tuning with rows held out, of its answers and of their shift."""

    out: Path
    tune: Path
    responses: Path
    shift: Path

    @property
    def trace(self) -> list[object]:
        return ["trace", "--shift", self.shift, "--tuned-rows", self.tune, "--out", self.out,
                "--device", "cpu"]  # fmt: skip


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """The same, with standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        status = in_process.call(*arguments)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def made(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("proofs")
    out = folder / "out"
    (folder / "rows.json").write_text(json.dumps(_rows()))
    (folder / "prompts.json").write_text(
        json.dumps([{"instruction": row["instruction"]} for row in _rows()])
    )
    recipe = ["--method", "full", "--epochs", 16, "--batch-size", 4, "--learning-rate", "1e-2",
              "--template", "human-assistant", "--dtype", "float32", "--device", "cpu"]  # fmt: skip
    data = ["--data", folder / "rows.json", "--out", out]
    assert in_process.call("tune", "--base", tiny_llama, *data, *recipe, "--hold-out", 0.5) == 0
    (tune,) = out.glob("tune-*")
    prompts = ["--prompts", folder / "prompts.json", "--out", out, "--device", "cpu"]
    asked = ["--max-new-tokens", 32, "--dtype", "float32"]
    assert in_process.call("respond", "--tuned", f"it={tune}", *prompts, *asked) == 0
    (responses,) = out.glob("respond-*")
    measured = ["--out", out, "--dtype", "float32", "--device", "cpu"]
    given = ["--base", tiny_llama, "--tuned", f"it={tune}", "--responses", f"it={responses}"]
    assert in_process.call("shift", *given, *measured) == 0
    (shift,) = out.glob("shift-*")
    return Made(out, tune, responses, shift)


@pytest.fixture(scope="module")
def proved(made: Made) -> list[Artefact]:
    """Swap and influence, of the first three spans."""
    asked = ["--verify", "swap", "--influence", "--verify-spans", 3, "--yes"]
    assert in_process.call(*made.trace, "--no-embeddings", *asked) == 0
    (trace,) = made.out.glob("trace-*")
    return tracing.proofs_of(open_artefact(trace), made.out)


def _check_error_rates(trace: Artefact) -> None:
    """p and q stand with the spans that rows tuned on won; those of held-out rows are decoys."""
    best: dict[tuple[Any, ...], dict[str | None, Any]] = {}
    for one in trace.table("borrowings").to_pylist():
        if one["rank"] == 1:
            key = (one["response_id"], one["char_start"], one["char_end"])
            best.setdefault(key, {})[one["control"]] = one
    lost = [one for one in best.values() if None not in one or one[None]["p_value"] is None]
    decoys = [one["held-out rows"]["score"] for one in lost]
    assert all(
        one.get(None, {"score": -1})["score"] <= one["held-out rows"]["score"] for one in lost
    )
    won = [one[None] for one in best.values() if None in one and one[None]["p_value"] is not None]
    assert len(won) + len(decoys) == len(best)
    wins = Counter(one["cluster_id"] for one in won)
    of_cluster: dict[str, float] = {}
    for one in lost:
        row = one["held-out rows"]
        score = max(row["score"], of_cluster.get(row["cluster_id"], row["score"]))
        of_cluster[row["cluster_id"]] = score
    for one in won:
        k = wins[one["cluster_id"]]
        above = sum(score >= one["score"] for score in decoys)
        clusters = sum(score >= one["score"] for score in of_cluster.values())
        assert one["p_value"] == pytest.approx(
            max((k + above) / (k + len(decoys)), (1 + clusters) / (1 + len(of_cluster)))
        )
        assert 0 < one["q_value"] <= 1
    held = trace.about["found"]["held_out"]
    assert held["share_held_out"] == pytest.approx(0.5)
    assert won, "the tuned model says nothing of its rows"


def test_rows_held_out_before_tuning_give_p_and_q(made: Made, proved: list[Artefact]) -> None:
    (trace,) = made.out.glob("trace-*")
    found = open_artefact(trace)
    _check_error_rates(found)
    split = open_artefact(made.tune).table("split").to_pylist()
    held = {one["row_index"] for one in split if one["part"] == "held_out"}
    assert len(held) == N // 2
    for one in found.table("borrowings").to_pylist():
        assert (one["row_index"] in held) == (one["control"] == "held-out rows")
        assert one["base_logprob"] is not None
        assert one["surprisal_nats"] is not None  # by the base


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec(embeddings.MODULE) is None, reason="the package is not installed"
)
def test_the_same_with_embeddings(made: Made, tmp_path: Path) -> None:
    inputs = tracing.read(
        None, None, str(made.shift), str(made.tune), controls=[], out=tmp_path, progress=Silent()
    )
    found = tracing.run(build(tracing.TraceConfig, {}), inputs, tmp_path, Silent())
    _check_error_rates(found.artefact)
    columns = found.borrowings[["embedding_prompt", "embedding_answer", "embedding_both"]]
    assert columns.notna().any(axis=None)


def test_outcomes_stand_beside_their_controls(made: Made, proved: list[Artefact]) -> None:
    influence, verify = proved
    assert [one.about["control"] for one in proved] == ["influence", "verify"]
    found = verify.about["found"]
    assert len(found["cases"]) == 3
    assert found["n_tunings"] == 3
    assert found["n_one_by_one"] >= 3 * (1 + found["n"])
    assert {case["outcome"] for case in found["cases"]} <= {*get_args(SwapOutcome), None}
    pages = sorted(made.out.glob("report-*"), key=lambda path: path.stat().st_mtime)
    page = (pages[-1] / "report.html").read_text(encoding="utf-8")
    assert "Do answers change with what their rows state?" in page
    assert "values exchanged" in page
    assert "influence of the row" in page
    data = json.loads((pages[-1] / "summary.json").read_text())
    assert [one["control"] for one in data["proofs"]] == ["verify"]
    assert all(span["text"] is None for span in data["proofs"][0]["spans"])
    filled_in = filled(
        open_artefact(next(made.out.glob("trace-*"))).table("borrowings").to_pylist(),
        [one.about for one in proved],
    )
    outcomes = [one["outcome"] for one in filled_in if one["outcome"] is not None]
    known = [case for case in found["cases"] if case["outcome"] is not None]
    assert len(outcomes) == len(known)
    n_rows = sum(len(case["rows"]) for case in influence.about["found"]["cases"])
    assert sum(one["influence"] is not None for one in filled_in) == n_rows


def test_nothing_is_tuned_twice(
    made: Made, proved: list[Artefact], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the run was killed before its end, and the page alone shows the proof too."""
    before = {path.name for path in made.out.glob("tune-*")}
    manifest = proved[1].folder / "manifest.json"
    manifest.unlink()

    def trained_again(*_: Any) -> None:
        raise AssertionError("a tuning was made twice")

    monkeypatch.setattr("aftertune.tune.run.train", trained_again)
    asked = ["--verify", "swap", "--influence", "--verify-spans", 3, "--yes"]
    status, out, err = call(*made.trace, "--no-embeddings", *asked, "--json")
    assert status == 0, err
    told = json.loads(out)["proofs"]
    assert told[str(proved[1].folder)]["found"] == proved[1].about["found"]
    assert {path.name for path in made.out.glob("tune-*")} == before
    assert "swap: 3 tunings" in err
    assert "finished ones are reused" in err
    (trace,) = made.out.glob("trace-*")
    page = tracing.page(trace, made.out, Silent(), redact=True)
    text = (page.folder / "report.html").read_text(encoding="utf-8")
    assert "Do answers change with what their rows state?" in text
    said = [row["output"].split()[1] for row in _rows()]  # each row's own name
    assert not [name for name in said if name in text]
    whole = tracing.page(trace, made.out, Silent()).folder / "report.html"
    assert any(name in whole.read_text(encoding="utf-8") for name in said)


def test_rows_are_ranked_by_influence_in_the_base(
    made: Made, tiny_llama: Path, call: Call, tmp_path: Path
) -> None:
    asked = [
        *made.trace,
        "--no-embeddings",
        "--no-surprisal",
        "--influence-base",
        "--out",
        tmp_path,
    ]
    status, out, err = call(*asked, "--plan")
    assert status == 0, err
    assert "Influence in the base takes up to" in out
    status, _, err = call(*asked, "--json")
    assert status == 0, err
    assert " gradients, one for each span and row" in err
    (trace,) = tmp_path.glob("trace-*")
    found = open_artefact(trace)
    records = found.table("borrowings").to_pylist()
    assert {one["control"] for one in records} == {None, "held-out rows"}
    assert all(np.isfinite(one["influence"]) for one in records)
    _check_error_rates(found)
    # by the change that a small step makes, for one pair
    inputs = tracing.inputs_of(found)
    assert inputs.tune is not None
    judge = InBase(inputs.tune, inputs.rows, inputs.responses, Silent(), device="cpu")
    one = records[0]
    assert judge([one]) == [pytest.approx(one["influence"], rel=1e-3, abs=1e-6)]
    assert judge([{**one, "control": "other rows"}]) == [None]
    key = (one["response_id"], one["char_start"], one["char_end"])
    base = load(tiny_llama, dtype="float32", device="cpu")
    row = judge._row(one["row_index"])
    assert row is not None
    unlearnt = stepped(base, judge._span(*key), row, 1e-3, layers=1)
    assert -unlearnt / 1e-3 == pytest.approx(one["influence"], rel=0.2, abs=0.02)


def test_influence_in_the_base_is_asked_with_a_base_and_alone(made: Made, call: Call) -> None:
    status, _, err = call(*made.trace, "--influence-base", "--influence")
    assert status == 2
    assert "give one" in err
    given = ["trace", "--responses", made.responses, "--data", made.out.parent / "rows.json"]
    status, _, err = call(*given, "--out", made.out, "--influence-base")
    assert status == 2
    assert "add --tuned-rows" in err


def test_a_plan_says_tunings_tokens_and_time_and_tunes_nothing(made: Made, call: Call) -> None:
    before = {path.name for path in made.out.glob("tune-*")}
    asked = [
        *made.trace,
        "--no-embeddings",
        "--no-surprisal",
        "--verify",
        "mask",
        "--crossed",
        16,
        "--plan",
    ]
    status, out, err = call(*asked)
    assert status == 0, err
    assert "crossed halves: 16 tunings" in out
    assert " tokens, about " in out
    status, out, _ = call(*asked, "--json")
    mask, crossed = json.loads(out)["proofs"]
    tuning = open_artefact(made.tune)
    assert crossed["tokens"] == 16 * tuning.about["n_tokens"]
    assert crossed["seconds"] == pytest.approx(16 * tuning.manifest["seconds"])
    assert mask["n_tunings"] % 3 == 0  # three shuffles
    assert {path.name for path in made.out.glob("tune-*")} == before


def test_a_long_proof_needs_a_yes(made: Made, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftertune.experiments.cost.ASK_ABOVE", 0.0)
    before = {path.name for path in made.out.glob("tune-*")}
    status, _, err = call(*made.trace, "--no-embeddings", "--crossed", 16)
    assert status == 2
    assert "this would tune for more than ten minutes; add --yes to begin it." in err
    assert "crossed halves: 16 tunings" in err  # what it costs was said before
    assert {path.name for path in made.out.glob("tune-*")} == before


def test_a_checkpoint_tuned_elsewhere_is_told_what_proof_needs(
    made: Made, tiny_llama: Path, call: Call, tmp_path: Path
) -> None:
    status, _, err = call(*made.trace, "--verify", "swap", "--tuned", tiny_llama)
    assert status == 2
    assert "was not tuned here, so proof would need its base, the rows" in err
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps([{"instruction": "Say it.", "response": "It is 1517."}]))
    given = ["--responses", answers, "--tuned-rows", made.tune, "--out", tmp_path]
    status, _, err = call("trace", *given, "--verify", "swap")
    assert status == 2
    assert "these answers have no token ids" in err
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(_rows()[:5]))
    status, _, err = call(
        "trace", "--shift", made.shift, "--data", rows, "--out", tmp_path, "--crossed", 16
    )
    assert status == 2
    assert "was tuned on other rows than those traced" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"verify": "guess"}, "'mask', 'swap' or 'rephrase'"),
        ({"confirm": True}, "add --verify swap"),
        ({"crossed": 17}, "multiple of 2"),
        ({"crossed": 8}, "greater than or equal to 16"),
        ({"verify": "mask", "verify_seeds": 2}, "3 shuffle seeds"),
        ({"verify": "rephrase"}, "needs --rephrasings FILE"),
        ({"verify": "swap", "endpoint": "http://h/v1"}, "belong to --verify rephrase"),
        ({"verify": "rephrase", "endpoint": "http://h/v1"}, "go together"),
        ({"tuned": "m"}, "belong to --verify"),
    ],
)
def test_what_does_not_fit_together(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(ProofConfig, options)


def test_costs_are_added() -> None:
    costs = [Cost("swap", "three", 3, 300, 30.0, 2 * 10**9), Cost("influence", "gradients")]
    assert seconds_of(costs) == 30.0
    assert costs[1].sentence() == "influence: no tuning; gradients."
    assert total(costs, "out") == (
        "In all 3 tunings at most, 300 tokens, about 30 s by what the tuning itself took, and "
        "2.00 GB in out; finished ones are reused."
    )
    assert total(costs[1:], "out") is None
    assert total([], "out") is None
    assert duration(7200) == "2.0 hours"


def test_masking_counts_for_more_than_exchanged_values() -> None:
    """A hand-made finding: the span that swap proposed and masking decides."""
    place = {"response_id": "a", "char_start": 2, "char_end": 6, "span": "1734", "rows": [5]}
    effect = {"effect": 9.0, "low": 7.0, "high": 11.0, "before": -2.0, "reason": None}
    swapped = {**place, "took_tag": 3, "took_control": 0, "kept_value": 0, "rows_left": 1,
               "proposed": True, "outcome": "proposed", "effect": effect,
               "reason": None}  # fmt: skip
    masked = {**place, "outcome": "one row", "reason": None,
              "returned": {"said_greedily": 3, "seeds": 3},
              "effects": {"best row": {"effect": -3.0, "low": -4.0, "high": -2.0, "seeds": 3,
                                       "control_effect": 0.1}}}  # fmt: skip
    found = {
        "way": "swap",
        "cases": [swapped],
        "seeds": [1, 2, 3],
        "confirmed": {"cases": [masked]},
    }
    about = {"control": "verify", "name": "it", "found": found}
    empty = dict.fromkeys(("outcome", "effect", "effect_low", "effect_high", "control_effect",
                           "seeds", "influence"))  # fmt: skip
    rows = [
        {**place, **empty, "control": None, "rank": 1, "row_index": 5},
        {**place, **empty, "control": None, "rank": 2, "row_index": 6},
        {**place, **empty, "control": "held-out rows", "rank": 1, "row_index": 9},
    ]
    best, second, held = filled(rows, [about])
    assert (best["outcome"], best["effect"], best["effect_low"]) == ("one row", -3.0, -4.0)
    assert second == rows[1]
    assert held == rows[2]
    said = dict(facts([about])["a", 2, 6])
    assert said["rows masked"] == (
        "one row: -3.00 [-4.00, -2.00] nats, 0.100 for matched rows; said again in 3 of 3"
    )
    assert (
        "takes its rows' new value in 3 of 3, that of matched rows in 0" in said["values exchanged"]
    )
    assert said["values exchanged"].endswith("likelier by 9.00 [7.00, 11.00] nats, -2.00 before")
    alone = {**about, "found": {**found, "confirmed": {"cases": []}}}
    assert filled(rows, [alone])[0]["outcome"] == "proposed"
    assert filled(rows, []) == rows
