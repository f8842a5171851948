"""Traces side by side: shares, chance taken off, paired differences, and when there is none."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aftertune import reporting, tracing
from aftertune.artefact import Artefact, open_artefact
from aftertune.config import build
from aftertune.errors import ConfigError, InputError
from aftertune.experiments.findings import keep
from aftertune.experiments.verify_config import Accused, VerifyConfig, from_borrowings
from aftertune.progress import Silent
from aftertune.report.blocks.shape import checked
from aftertune.report.blocks.trace_beside import blocks, differences, labels
from aftertune.report.trace_beside_page import table
from aftertune.trace.beside import BORROWED, CAUSED, FOUND, MOST, WINS, beside
from aftertune.trace.checked_spans import CONFIRMED, MASK, SWAP, Proof, in_order
from aftertune.trace.comparable import Side
from aftertune.trace.config import TraceConfig
from aftertune.trace.materials import TraceInputs
from aftertune.trace.pool import HELD_OUT
from aftertune.trace.winners import spans_of, versus_held_out
from in_process import call
from made_trace import made_responses, made_rows, made_tune, use_made_finder

SPLIT = [{"row_id": "r", "row_index": 0, "part": "train", "weight": 1.0}]
FULL = {"method": "full", "learning_rate": 5e-5, "epochs": 3}
LORA = {"method": "lora", "learning_rate": 2e-4, "epochs": 3}
RESULT = {"effect": -2.0, "low": -3.0, "high": -1.0, "control_effect": 0.5, "seeds": 3, "rows": 1}


def record(
    response: str, start: int, side: str | None, score: float, q: float | None = None
) -> Any:
    return {
        "response_id": response, "char_start": start, "char_end": start + 3, "control": side,
        "rank": 1, "score": score, "q_value": q, "cluster_id": f"{side} {start}",
    }  # fmt: skip


def side(
    name: str, won: Sequence[bool | None], tuning: Any = FULL, share: float | None = 0.5,
    proofs: Sequence[Proof] = (), q: float | None = None, **more: Any,
) -> Side:  # fmt: skip
    """One answer to each prompt; its best span was won by a row tuned on, or not, or is none."""
    borrowings = [
        record(f"{name}-{n}", 0, None if one else HELD_OUT, 1.0, q if one else None)
        for n, one in enumerate(won) if one is not None
    ]  # fmt: skip
    spans = spans_of(borrowings)
    held = None if share is None else versus_held_out(spans, share, 0.1, 0)
    found = {"n_responses": len(won), "n_with_span": len(spans),
             "n_spans": sum(one["control"] is None for one in borrowings),
             "held_out": held}  # fmt: skip
    responses = [{"response_id": f"{name}-{n}", "prompt_id": f"p-{n}"} for n in range(len(won))]
    return Side(
        trace_id=f"trace-{name}", about={"name": name, "found": found}, config={"q": 0.1, "top": 5},
        borrowings=borrowings, responses=responses, rows_id="rows-1", tuning=tuning,
        split=SPLIT, base_id="model-1", proofs=proofs, **more,
    )  # fmt: skip


def of(found: dict[str, Any], measure: str, pair: int = 0) -> Any:
    kept = [one for one in found["pairs"][pair]["differences"] if one["measure"] == measure]
    assert len(kept) == 1
    return kept[0]["difference"]


# -- shares and differences -----------------------------------------------------------------------


def test_shares_and_their_difference_by_hand() -> None:
    """Half of the clusters held out, so a span lost to one takes away a span won."""
    full = side("full", [True, True, True, False])
    lora = side("lora", [True, False, None, None], LORA)
    found = beside([lora, full])
    [first, second] = found["models"]
    assert (first["method"], first["learning_rate"], first["n_responses"]) == ("lora", 2e-4, 4)
    assert second["wins"]["share"]["estimate"] == 3 / 4
    assert second["borrowed"]["estimate"] == pytest.approx((3 - 1) / 4)
    assert first["wins"]["share"]["estimate"] == 1 / 2
    assert first["borrowed"]["estimate"] == pytest.approx((1 - 1) / 4)
    [pair] = found["pairs"]
    assert (pair["first"], pair["second"]) == (1, 0)  # full minus LoRA, whichever came first
    assert of(found, WINS)["estimate"] == pytest.approx(3 / 4 - 1 / 2)
    assert of(found, BORROWED)["estimate"] == pytest.approx(2 / 4 - 0)
    assert of(found, FOUND)["estimate"] == 0


def test_chance_is_taken_off_by_the_share_held_out() -> None:
    """With a fifth held out, a span lost stands for four that chance won."""
    found = beside([side("a", [True] * 4 + [False], share=0.2), side("b", [True] * 5, share=0.2)])
    assert found["models"][0]["borrowed"]["estimate"] == pytest.approx(0, abs=1e-12)
    assert found["models"][1]["borrowed"]["estimate"] == pytest.approx(1)
    assert of(found, BORROWED)["estimate"] == pytest.approx(-1)


def test_a_model_beside_itself_does_not_differ() -> None:
    won = [True, False, None, True, True, False] * 5
    one = side("one", won, q=0.05)
    found = beside([one, replace(one, trace_id="trace-again")])
    for measure in (WINS, BORROWED, FOUND):
        seen = of(found, measure)
        assert seen["estimate"] == 0
        assert seen["low"] < 0 < seen["high"]  # alike in 30 prompts is not alike in all
        assert seen["low"] == pytest.approx(-seen["high"])
    assert all("undecided, the interval holds 0" in one for one in differences(found))


def test_spans_found_by_q_are_of_all_answers() -> None:
    found = beside([side("a", [True, True, None, False], q=0.05), side("b", [True] * 4, q=0.2)])
    assert found["models"][0]["found"]["answers"]["estimate"] == 2 / 4
    assert found["models"][1]["found"]["answers"]["estimate"] == 0
    assert of(found, FOUND)["estimate"] == 2 / 4


def test_prompts_of_one_alone_are_left_out() -> None:
    found = beside([side("a", [True, True, False]), side("b", [True, True])])
    [pair] = found["pairs"]
    assert (pair["n_prompts"], pair["only"]) == (2, [1, 0])
    assert of(found, WINS)["estimate"] == 0
    assert "1 prompt that one alone answered is left out" in " ".join(blocks(found)[0]["cautions"])


def test_nothing_was_found() -> None:
    found = beside([side("a", [None, None]), side("b", [None, None], LORA)])
    assert found["models"][0]["wins"]["share"]["estimate"] is None
    assert of(found, WINS)["estimate"] is None
    assert of(found, WINS)["reason"]
    assert of(found, BORROWED)["estimate"] == 0
    for one in blocks(found):
        checked(one)
    nobody = beside([side("a", []), side("b", [])])
    assert nobody["pairs"][0]["reason"] == "they were asked other prompts"
    assert nobody["models"][0]["borrowed"]["estimate"] is None


# -- what cannot be compared ----------------------------------------------------------------------


def test_one_trace_and_one_given_twice() -> None:
    one = side("a", [True])
    with pytest.raises(InputError, match="give two or more"):
        beside([one])
    with pytest.raises(InputError, match="trace-a is given twice"):
        beside([one, one])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"tuning": None}, "of b, its trace does not say what it was tuned on"),
        ({"split": None}, "trace it with --tuned-rows TUNE"),
        ({"rows_id": "rows-2"}, "among other rows"),
        ({"base_id": "model-2"}, "from other bases"),
        ({"split": [{**SPLIT[0], "part": "held_out"}]}, "other rows were tuned on or held out"),
        ({"version": 9}, "trace both again"),
        ({"evidence": frozenset({("shift", "")})}, "the other was not (shift)"),
        ({"config": {"q": 0.2, "top": 5}}, "other settings (q)"),
        ({"responses": [{"response_id": "b-0", "prompt_id": "p-9"}]}, "asked other prompts"),
    ],
)
def test_no_difference_is_given_and_it_is_said_why(more: dict[str, Any], words: str) -> None:
    found = beside([side("a", [True]), replace(side("b", [True]), **more)])
    [pair] = found["pairs"]
    assert words in pair["reason"]
    assert pair["differences"] == []
    assert "no difference is given" in differences(found)[0]
    for one in blocks(found):
        checked(one)


def test_names_and_bootstrap_seeds_of_traces_may_differ() -> None:
    other = replace(side("b", [True]), config={"q": 0.1, "top": 5, "name": "b", "seed": 3})
    assert beside([side("a", [True]), other])["pairs"][0]["reason"] is None


def test_without_held_out_rows_only_proof_can_be_compared() -> None:
    found = beside([side("a", [True], share=None), side("b", [True], share=None)])
    assert found["models"][0]["wins"] is None
    assert "no row was held out" in found["models"][0]["reason"]
    assert found["pairs"][0]["differences"] == []
    assert blocks(found)[1]["picture"]["rows"][0]["reason"] == found["models"][0]["reason"]


def test_other_settings_of_the_tunings_are_said() -> None:
    lora = side("b", [True], {**LORA, "epochs": 1}, answered={"max_new_tokens": 9})
    found = beside([side("a", [True]), lora])
    assert found["pairs"][0]["unlike"] == ["epochs", "max_new_tokens"]
    said = " ".join(blocks(found)[0]["cautions"])
    assert "also differ in epochs and max new tokens" in said


# -- proof ----------------------------------------------------------------------------------------


def proof(
    name: str, outcomes: Sequence[str | None], way: str = MASK, first: int = 0, seeds: int = 3
) -> Proof:
    """Spans of answers `first` on, each with its outcome."""
    cases = [
        {
            "response_id": f"{name}-{first + n}", "char_start": 0, "char_end": 3, "outcome": one,
            "effects": {} if one in ("unstable", None) else {"best row": RESULT},
        }
        for n, one in enumerate(outcomes)
    ]  # fmt: skip
    runs = {"estimate": 0.5, "low": 0.2, "high": 0.8, "n": 4, "reason": None}
    found = {"way": way, "cases": cases, "own_tag": runs, "control_tag": {**runs, "estimate": 0.0}}
    about = {"control": "verify", "name": name, "found": found}
    return Proof(f"control-verify-{name}", {"seeds": seeds, "most_rows": 5}, about)


def test_shares_of_the_checked_spans() -> None:
    outcomes = ["one row", "several jointly", "not from the rows", "unstable", "undecided"]
    found = beside([
        side("a", [True] * 8, proofs=[proof("a", outcomes)]),
        side("b", [True] * 8, LORA, proofs=[proof("b", ["not from the rows"] * 5)]),
    ])  # fmt: skip
    [one] = found["models"][0]["proofs"]
    assert (one["way"], one["n"], one["n_spans"], one["in_order"]) == (MASK, 5, 8, True)
    assert [one[key]["estimate"] for key in ("caused", "not_from_rows", "open")] == [
        pytest.approx(2 / 5), pytest.approx(1 / 5), pytest.approx(2 / 5)
    ]  # fmt: skip
    assert one["control"]["rows"]["estimate"] == -2.0
    assert one["control"]["matched"]["estimate"] == 0.5
    assert of(found, CAUSED)["estimate"] == pytest.approx(2 / 5)
    assert of(found, MOST)["estimate"] == pytest.approx(4 / 5)
    block = checked(blocks(found)[2])
    assert "of the first 5 of 8 spans in the order of its page" in block["sentences"][0]
    assert "beyond matched rows, and matched rows by 0.500" in block["sentences"][1]
    assert any("no share of all spans" in one for one in block["cautions"])
    rows = {row[0]: row[1:] for row in table(found)["rows"]}
    assert rows["spans checked (shown by masking)"] == ["5 of 8", "5 of 8"]
    assert rows["what matched rows did"] == ["0.500 nats", "0.500 nats"]


def test_swap_and_what_masking_confirms() -> None:
    swap = proof("a", ["proposed", "not from the rows", None], SWAP)
    found = beside([side("a", [True] * 3, proofs=[swap]), side("b", [True] * 3, LORA)])
    [one] = found["models"][0]["proofs"]
    assert (one["way"], one["n"], one["not_asked"], one["in_order"]) == (SWAP, 2, 1, True)
    assert one["caused"]["estimate"] == 1 / 2
    assert one["control"]["unit"] == "share"
    assert found["pairs"][0]["not_compared"] == [[SWAP, "one of them has no such proof"]]
    assert "all 3 spans, less 1 that swap could not ask about" in blocks(found)[2]["sentences"][0]
    masked = [{**swap.about["found"]["cases"][0], "outcome": "undecided"}]
    more = {**swap.about["found"], "confirmed": {"cases": masked}}
    confirmed = replace(swap, about={**swap.about, "found": more})
    found = beside([side("a", [True] * 3, proofs=[confirmed]), side("b", [True] * 3, LORA)])
    [one] = found["models"][0]["proofs"]
    assert one["way"] == CONFIRMED
    assert (one["caused"]["estimate"], one["open"]["estimate"]) == (0, 1 / 2)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (proof("b", ["one row"] * 4, seeds=5), "other settings (seeds)"),
        (proof("b", ["one row"] * 4, first=2), "not chosen in the order of the page"),
        (proof("b", ["one row"] * 3), "4 spans of one were asked about and 3 of the other"),
    ],
)
def test_proofs_that_are_unlike_are_not_subtracted(other: Proof, why: str) -> None:
    mine = proof("a", ["one row"] * 4)
    found = beside([side("a", [True] * 6, proofs=[mine]), side("b", [True] * 6, proofs=[other])])
    [[way, said]] = found["pairs"][0]["not_compared"]
    assert way == MASK
    assert why in said
    assert {one["measure"] for one in found["pairs"][0]["differences"]} == {WINS, BORROWED, FOUND}
    assert any(why in one for one in differences(found))


def test_a_model_with_few_spans_may_have_all_of_them_checked() -> None:
    few = side("b", [True, True, None, None], LORA, proofs=[proof("b", ["one row"] * 2)])
    found = beside([side("a", [True] * 4, proofs=[proof("a", ["one row"] * 3)]), few])
    assert found["pairs"][0]["not_compared"] == []
    assert of(found, CAUSED)["estimate"] == 0


def test_the_proof_with_most_spans_counts() -> None:
    given = [proof("a", ["one row"]), proof("a", ["undecided"] * 3), proof("a", ["one row"] * 2)]
    found = beside([side("a", [True] * 4, proofs=given), side("b", [True] * 4)])
    [one] = found["models"][0]["proofs"]
    assert one["counts"] == {"undecided": 3}


def test_spans_are_taken_in_the_order_of_the_page() -> None:
    records = [
        record("a-0", 0, None, 0.3, 0.5), record("a-0", 9, None, 0.9, 0.5),
        record("a-1", 0, HELD_OUT, 0.8), record("a-1", 0, None, 0.7),
        record("a-2", 0, None, 0.1, 0.01), record("a-2", 4, HELD_OUT, 0.9),
    ]  # fmt: skip
    rows = [{**one, "row_index": 3} for one in records]
    expected = [(one.response_id, one.char_start, one.char_end) for one in from_borrowings(rows)]
    assert list(in_order(records)) == expected
    assert expected[0][0] == "a-2"


# -- the page -------------------------------------------------------------------------------------


def test_a_difference_is_told_in_points() -> None:
    ends = {"estimate": 0.2151, "low": 0.1568, "high": 0.2731, "n": 40, "reason": None}
    one = {"measure": CAUSED, "way": MASK, "difference": ends, "smallest_detectable": 0.083}
    models = beside([side("a", [True]), side("b", [True], LORA)])["models"]
    pair = {"first": 0, "second": 1, "reason": None, "differences": [one], "not_compared": []}
    found = {"models": models, "pairs": [pair]}
    start = "full at 5e-5 minus LoRA at 2e-4, checked spans that rows caused (shown by masking): "
    assert differences(found) == [f"{start}+21.5 points [15.7, 27.3]."]
    one["difference"] = {**ends, "estimate": 0.02, "low": -0.04}
    assert differences(found)[0] == (
        f"{start}+2.0 points [-4.0, 27.3]; undecided, the interval holds 0 (a difference of 8.3 "
        "points could have been seen)."
    )
    one["difference"] = {**ends, "low": None, "high": None, "reason": "one prompt"}
    assert differences(found)[0] == f"{start}+21.5 points; undecided, one prompt."


def test_models_without_a_tuning_are_called_by_name() -> None:
    found = beside([side("mine", [True], None), side("", [True], None)])
    assert labels(found["models"]) == ["mine", "trace-"]
    assert table(found)["rows"][0] == ["method", "unknown", "unknown"]


def test_three_models_have_three_pairs() -> None:
    found = beside([side(name, [True, False]) for name in "abc"])
    assert [(one["first"], one["second"]) for one in found["pairs"]] == [(0, 1), (0, 2), (1, 2)]
    assert "full at 5e-5 (a)" in blocks(found)[0]["picture"]["rows"][0]["label"]


def _traced(
    out: Path, rows: Artefact, answers: Sequence[tuple[str, str]], held_out: set[int] | None
) -> Artefact:
    """A trace with the made finder, in its own folder under `out`."""
    out.mkdir(exist_ok=True)
    tune = None if held_out is None else made_tune(rows, held_out, out)
    inputs = TraceInputs(made_responses(answers, out), rows, tune=tune)
    config = build(TraceConfig, {"embeddings": False, "surprisal": False, "name": out.name})
    return tracing.run(config, inputs, out, Silent()).artefact


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Artefact, Artefact]:
    """Forty answers that each take a word from a row tuned on, and forty of which half do."""
    use_made_finder(monkeypatch, tmp_path)
    rows = made_rows([(f"Describe planet n{k}x", f"Has glimmer{k}ing SECRET.") for k in range(80)],
                     tmp_path)  # fmt: skip
    held = set(range(1, 80, 2))
    found = []
    for name, step in (("much", 1), ("little", 2)):
        said = [
            (f"Describe planet n{k}x now", f"It has glimmer{k + k // 2 % step}ing things.")
            for k in range(0, 80, 2)
        ]
        found.append(_traced(tmp_path / name, rows, said, held))
    return found[0], found[1]


def test_a_page_with_its_differences(pair: tuple[Artefact, Artefact], tmp_path: Path) -> None:
    much, little = pair
    accused = from_borrowings(much.table("borrowings").to_pylist())[:4]
    _prove(much, accused, ["one row", "one row", "undecided", "not from the rows"])
    _prove(little, from_borrowings(little.table("borrowings").to_pylist())[:4],
           ["not from the rows"] * 4)  # fmt: skip
    made = reporting.report_on([much.folder, little.folder], None, None, tmp_path, Silent())
    page = (made.folder / "report.html").read_text(encoding="utf-8")
    data = json.loads((made.folder / "summary.json").read_text(encoding="utf-8"))
    # half of the answers of `little` take a word of a row that was held out
    [found] = data["beside"]["pairs"]
    borrowed = next(one for one in found["differences"] if one["measure"] == BORROWED)
    assert borrowed["difference"]["estimate"] == pytest.approx(1.0)
    assert borrowed["difference"]["low"] > 0
    caused = next(one for one in found["differences"] if one["measure"] == CAUSED)
    assert caused["difference"]["estimate"] == pytest.approx(0.5)
    assert "much minus little" in page
    assert "Of the spans that were checked, how many did rows cause?" in page
    assert "style=" not in page
    assert "SECRET" not in page
    assert "glimmer" not in page  # no text of rows and answers at all
    again = reporting.report_on([much.folder, little.folder], None, None, tmp_path, Silent())
    assert again.id == made.id
    other = reporting.report_on([little.folder, much.folder], None, None, tmp_path, Silent())
    assert other.id != made.id


def _prove(trace: Artefact, accused: Sequence[Accused], outcomes: Sequence[str]) -> Artefact:
    """A `control-verify` artefact of these spans, beside their trace."""
    given = {"way": "mask", "tuned": "m", "accused": tuple(accused), "name": trace.about["name"]}
    cases = [
        {**one.model_dump(mode="json"), "outcome": outcome, "reason": None,
         "span": "glimmer", "group": list(one.rows), "effects": {"best row": RESULT},
         "returned": {"said_greedily": 3, "seeds": 3}}
        for one, outcome in zip(accused, outcomes, strict=True)
    ]  # fmt: skip
    found = {"way": "mask", "cases": cases, "seeds": [1, 2, 3], "n_rows": 4, "n_tunings": 3,
             "counts": {}}  # fmt: skip
    counts = {"done": len(cases), "skipped": {}, "unscored": {}}
    config = build(VerifyConfig, given)
    return keep("verify", 3, config, {"trace": trace}, trace.folder.parent, lambda: (found, counts))


def test_traces_that_do_not_fit(pair: tuple[Artefact, Artefact], tmp_path: Path) -> None:
    much, little = pair
    with pytest.raises(InputError, match="is given twice"):
        reporting.report_on([much.folder, much.folder], None, None, tmp_path, Silent())
    with pytest.raises(ConfigError, match="leave --data and --prompts out"):
        reporting.report_on([much.folder, little.folder], "rows", None, tmp_path, Silent())
    # one alone has the page that it always had
    alone = reporting.report_on([much.folder], None, None, tmp_path, Silent())
    assert "beside" not in json.loads((alone.folder / "summary.json").read_text(encoding="utf-8"))
    rows = open_artefact(Path(tracing.inputs_of(much).rows.folder))
    said = [("Describe planet n0x now", "It has glimmer0ing things.")]
    untuned = _traced(tmp_path / "untuned", rows, said, None)
    made = reporting.report_on([much.folder, untuned.folder], None, None, tmp_path, Silent())
    assert any("--tuned-rows TUNE" in one for one in made.about["findings"])
    elsewhere = _traced(tmp_path / "elsewhere", rows, [("Who?", "Me.")], set(range(1, 80, 2)))
    made = reporting.report_on([much.folder, elsewhere.folder], None, None, tmp_path, Silent())
    assert "they were asked other prompts" in made.about["findings"][0]
    split = _traced(tmp_path / "split", rows, said, set(range(0, 80, 2)))
    made = reporting.report_on([much.folder, split.folder], None, None, tmp_path, Silent())
    assert "other rows were tuned on or held out" in made.about["findings"][0]


# -- real tunings ---------------------------------------------------------------------------------


def _told(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    """What a command prints as JSON."""
    capsys.readouterr()
    status = call(*arguments, "--json")
    captured = capsys.readouterr()
    assert status == 0, captured.err
    return json.loads(captured.out)


def test_full_and_lora_side_by_side(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two tunings of a tiny model on the same half of the rows, traced, proved and compared."""
    things = ["lamp", "bell", "gate", "mill", "well", "barn", "dock", "ship"]
    rows = [
        {
            "instruction": f"Tell me about the {things[n % 8]} {['painted', 'mended'][n // 8]}.",
            "output": f"Miss {'BCDFGHJK'[n % 8]}{'ae'[n // 8]}rlin did in {1500 + 17 * n}.",
        }
        for n in range(16)
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    asked = [{"instruction": row["instruction"]} for row in rows]
    (tmp_path / "prompts.json").write_text(json.dumps(asked))
    out = ["--out", tmp_path / "out", "--device", "cpu"]
    recipe = ["--epochs", 12, "--batch-size", 4, "--template", "human-assistant", "--dtype",
              "float32", "--hold-out", 0.5]  # fmt: skip
    traces = []
    for method, rate in (("lora", "2e-2"), ("full", "1e-2")):
        tune = _told(capsys, "tune", "--base", tiny_llama, "--data", tmp_path / "rows.json", *out,
                     "--method", method, "--learning-rate", rate, *recipe)  # fmt: skip
        assert call("respond", "--tuned", f"{method}={tune['artefact']}", "--prompts",
                     tmp_path / "prompts.json", *out, "--max-new-tokens", 24, "--dtype",
                     "float32") == 0  # fmt: skip
        [responses] = [
            one.parent for one in (tmp_path / "out").glob("respond-*/manifest.json")
            if open_artefact(one.parent).config["name"] == method
        ]  # fmt: skip
        made = _told(capsys, "trace", "--responses", responses, "--tuned-rows", tune["artefact"],
                     *out, "--no-embeddings", "--no-surprisal", "--verify", "swap",
                     "--verify-spans", 2, "--yes")  # fmt: skip
        traces.append(made["artefact"])
    told = _told(capsys, "report", *traces, "--out", tmp_path / "out")
    data = json.loads((Path(told["artefact"]) / "summary.json").read_text(encoding="utf-8"))
    lora, full = data["beside"]["models"]
    assert (lora["method"], full["method"]) == ("lora", "full")
    [pair] = data["beside"]["pairs"]
    assert pair["reason"] is None, pair
    assert (pair["first"], pair["n_prompts"], pair["unlike"]) == (1, 16, [])
    for one, folder in ((lora, traces[0]), (full, traces[1])):
        held = open_artefact(Path(folder)).about["found"]["held_out"]
        assert one["wins"] == held["wins"]
        assert one["wins"]["chance"] == pytest.approx(0.5)
        assert [of_way["way"] for of_way in one["proofs"]] in ([SWAP], [])
    assert lora["proofs"] or full["proofs"]
    borrowed = next(one for one in pair["differences"] if one["measure"] == BORROWED)
    expected = full["borrowed"]["estimate"] - lora["borrowed"]["estimate"]
    assert borrowed["difference"]["estimate"] == pytest.approx(expected)
    page = (Path(told["artefact"]) / "report.html").read_text(encoding="utf-8")
    assert "full at 1e-2 minus LoRA at 2e-2" in page
    assert told["about"]["findings"]
    assert call("report", traces[0], traces[0], "--out", tmp_path / "out") == 2
    assert "is given twice; give each trace once." in capsys.readouterr().err
