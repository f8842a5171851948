"""From tables to what is shown: values derived by hand, and every odd set of inputs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_report import (
    CENSUS,
    HOSTILE,
    NOTE,
    OVERLAP,
    model_artefacts,
    random_answer,
    random_model,
    response_record,
    text_artefact,
    token_record,
)

from aftertune.models import embedded
from aftertune.models.reference import ModelRef
from aftertune.report import rows
from aftertune.report.comparison import by_prompt
from aftertune.report.config import ReportConfig
from aftertune.report.facts import short_place
from aftertune.report.headline import COLUMNS, headline
from aftertune.report.run import ReportModel, read_model
from aftertune.report.view import build


def view(*models: ReportModel, overlap: dict[str, Any] | None = None, **options: Any) -> Any:
    config = ReportConfig(**options)
    tables = [read_model(given, config.redact) for given in models]
    return build(config, tables, "1.2.3", None, None, overlap)


def small(out: Path, name: str, values: dict[int, list[float]], **options: Any) -> ReportModel:
    """A model with one answer per prompt whose tokens have the given KL."""
    answers = []
    for prompt, kls in values.items():
        response = response_record(prompt, name, "The" * len(kls))
        tokens = [
            token_record(response["response_id"], k, kl_tuned_base_nats=kl, char_start=3 * k,
                         char_end=3 * k + 3, category="unshifted" if kl < 0.5 else "shifted",
                         base_rank_of_tuned_argmax=1 if kl < 0.5 else 9)
            for k, kl in enumerate(kls)
        ]  # fmt: skip
        answers.append((response, tokens))
    return model_artefacts(out, name, answers, **options)


def test_headline_numbers_by_hand(tmp_path: Path) -> None:
    found = view(small(tmp_path, "m", {0: [0.25, 0.75], 1: [0.5, 0.5, 1.0]}))["models"][0]
    assert found["kl"]["estimate"] == pytest.approx(3.0 / 5)  # every token weighs alike
    assert found["kl_per_answer"]["estimate"] == pytest.approx((0.5 + 2 / 3) / 2)
    assert found["shares"]["unshifted"]["estimate"] == pytest.approx(1 / 5)
    assert found["shares"]["shifted"]["estimate"] == pytest.approx(4 / 5)
    assert (found["n_answers"], found["n_tokens"], found["mean_length"]) == (2, 5, 2.5)
    assert found["floor"] == pytest.approx(0.0003)
    assert found["finish"] == {"stop": 2}
    assert found["frequent"]["shifted"] == {"pieces": [["␣The", 4, 5]], "words": None}
    assert found["frequent"]["marginal"] == {"pieces": [], "words": None}
    assert (found["n_rows"], found["n_steps"], found["rank"]) == (160, 60, None)


def test_differences_are_paired_by_prompt(tmp_path: Path) -> None:
    a = small(tmp_path, "a", {0: [0.5, 0.5], 1: [0.25], 2: [0.125]})
    b = small(tmp_path, "b", {1: [0.75, 0.25], 0: [1.0], 9: [8.0]}, method="lora")
    found = view(a, b)
    (pair,) = found["pairs"]
    # prompts 0 and 1 are common: a has 1.25 / 3, b has 2.0 / 3; b moved further
    assert (pair["first"], pair["second"], pair["n"]) == ("b", "a", 2)
    assert pair["difference"]["estimate"] == pytest.approx(2.0 / 3 - 1.25 / 3)
    assert found["n_prompts"] == 4


def test_several_answers_to_a_prompt_are_one_group(tmp_path: Path) -> None:
    given = read_model(small(tmp_path, "m", {0: [0.5, 0.5], 1: [0.25]}), False)
    same = given.responses.set_column(1, "prompt_id", [["p0", "p0"]])
    assert by_prompt(given.tokens, given.responses) == {"p0": (1.0, 2), "p1": (0.25, 1)}
    assert by_prompt(given.tokens, same) == {"p0": (1.25, 3)}


def test_no_prompt_in_common(tmp_path: Path) -> None:
    found = view(small(tmp_path, "a", {0: [0.5]}), small(tmp_path, "b", {1: [0.5]}))
    assert "no scored prompt in common" in " ".join(found["conclusion"]["findings"])
    first, second = found["answers"]["prompts"]
    assert first["answers"][1] is None
    assert second["answers"][0] is None


def test_five_models_compare_neighbours(tmp_path: Path) -> None:
    models = [small(tmp_path, f"m{k}", {0: [0.1 * k], 1: [0.2 * k]}) for k in range(1, 6)]
    found = view(*models)
    assert len(found["pairs"]) == 4
    assert [m["style"] for m in found["models"]] == [0, 1, 2, 3, 4]
    assert all(len(row["cells"]) == 5 for row in found["table"])
    assert "only neighbours" in " ".join(found["conclusion"]["cautions"])


def test_empty_answers(tmp_path: Path) -> None:
    """An answer that stopped at once has one token, the stop token; another has none at all."""
    stopped = response_record(0, "m", "")
    nothing = response_record(1, "m", "  ")
    token = token_record(stopped["response_id"], 0, token_id=0, token="<|im_end|>", char_end=0)
    found = view(model_artefacts(tmp_path, "m", [(stopped, [token]), (nothing, [])]))
    assert found["models"][0]["n_empty"] == 2
    assert (found["models"][0]["n_answers"], found["models"][0]["n_scored"]) == (2, 1)
    shown = [prompt["answers"][0] for prompt in found["answers"]["prompts"]]
    assert shown[0]["units"] == ["<|im_end|>"]
    assert shown[1]["units"] == ["  "]
    assert shown[1]["counts"] == [[0, 0]]


def test_no_answers_at_all(tmp_path: Path) -> None:
    found = view(model_artefacts(tmp_path, "m", []))
    assert found["models"][0]["kl"]["estimate"] is None
    assert found["conclusion"]["findings"] == ["Nothing is said about how far m moved: no values."]
    assert found["answers"]["prompts"] == []


def test_a_checkpoint_tuned_elsewhere(tmp_path: Path) -> None:
    found = view(small(tmp_path, "theirs", {0: [0.5]}, tuned_here=False, method=None, rate=None))
    assert found["models"][0]["learning_rate"] is None
    assert found["models"][0]["loss"] == []
    cells = {row["label"]: row["cells"][0]["text"] for row in found["table"]}
    assert cells["learning rate"] == cells["method"] == cells["steps"] == "unknown"
    assert "learning rate of theirs is unknown" in " ".join(found["conclusion"]["cautions"])


def test_a_base_that_is_an_assistant_is_said(tmp_path: Path) -> None:
    given = read_model(small(tmp_path, "m", {0: [0.5]}, method="lora"), False)
    given.shift["about"]["models"]["base"]["facts"]["note"] = embedded.facts(
        ModelRef("embedded", "embedded:smollm2-135m", None, None)
    )
    found = build(ReportConfig(), [given], "1")
    assert "verdict about pure base checkpoints" in " ".join(found["conclusion"]["cautions"])
    assert found["models"][0]["rank"] == 8


def test_hostile_text_is_only_text(tmp_path: Path) -> None:
    response = response_record(0, HOSTILE, HOSTILE, question=HOSTILE)
    token = token_record(response["response_id"], 0, char_end=len(HOSTILE))
    given = model_artefacts(tmp_path, "hostile", [(response, [token])])
    found = view(ReportModel(HOSTILE, given.shift, given.responses))
    text = json.dumps(found, ensure_ascii=False)
    assert "\u202e" not in text
    assert "\u2028" not in text
    assert "⟨U+202E⟩evil" in found["answers"]["prompts"][0]["turns"][0][1]
    assert "<script>" in found["answers"]["prompts"][0]["answers"][0]["units"][0]


def test_redacted_pages_hold_no_text(tmp_path: Path) -> None:
    secret = response_record(0, "m", "Jupiter", question="confidential")
    tokens = [token_record(secret["response_id"], 0, category="shifted", token="ĠJupiter")]
    found = view(model_artefacts(tmp_path, "m", [(secret, tokens)]), redact=True)
    text = json.dumps(found)
    assert "Jupiter" not in text
    assert "confidential" not in text
    assert found["models"][0]["kl"]["estimate"] == 0.0


def test_limits_on_answers(tmp_path: Path) -> None:
    model = random_model(tmp_path, "m", 20, 12, 0.1, 0)
    few = view(model, max_answers=5)["answers"]["prompts"]
    assert [p["label"].split(":")[0] for p in few] == [
        "1. Question 0", "2. Question 4", "3. Question 8", "4. Question 12", "5. Question 16"
    ]  # fmt: skip
    data = view(model, max_answer_bytes=12_000)["answers"]
    assert 1 < len(data["prompts"]) < 20
    assert len(json.dumps(data, ensure_ascii=False).encode()) <= 12_000
    assert len(view(model, max_answer_bytes=0)["answers"]["prompts"]) == 1
    assert view(model, max_answers=0)["answers"]["prompts"] == []


def test_a_huge_answer(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    text, ids, tokens = random_answer(rng, "r-m-0", 5000, 0.1)
    found = view(model_artefacts(tmp_path, "m", [(response_record(0, "m", text, ids), tokens)]))
    answer = found["answers"]["prompts"][0]["answers"][0]
    assert len(answer["units"]) == len(answer["piece"]) == 5000


def test_preferred_tokens_are_shown_by_their_pieces(tmp_path: Path) -> None:
    found = view(small(tmp_path, "m", {0: [0.5]}))["answers"]
    top = found["prompts"][0]["answers"][0]["base_top"][0]
    assert [found["pieces"][place] for place in top[::2]] == ["␣The", "␣a"]


def test_a_long_loss_curve_is_averaged(tmp_path: Path) -> None:
    found = view(small(tmp_path, "m", {0: [0.5]}))["models"][0]["loss"]
    assert len(found) == 60
    assert found[0][0] == pytest.approx(1 / 20)


def test_the_rows(tmp_path: Path) -> None:
    manifest = text_artefact(tmp_path, "rows").manifest
    ((title, facts),) = rows.section(manifest, None, OVERLAP)["groups"]
    said = dict(facts)
    assert title == "Rows"
    assert said["used"] == "168 from embedded:pocket, format alpaca"
    assert said["exact duplicates"] == "1 group of 2 rows, for instance rows 3 and 17"
    assert said["set aside"] == "2 (no messages: 2)"
    assert said["near duplicates"] == "none"
    assert said["among them"] == "several turns: 4"
    assert rows.section(None, None, None) == {"sentences": [], "groups": []}
    assert CENSUS["empty_responses"] == int(said["empty responses"])


def test_overlap_of_rows_with_prompts() -> None:
    some = rows.section(None, None, {"prompts": 32, "exact": 1, "near": 2})["sentences"][0]
    assert some.startswith("3 of 32 evaluation prompts are asked by the rows too (1 word for word")
    none = rows.section(None, None, {"prompts": 1, "exact": 0, "near": 0})["sentences"][0]
    assert none.startswith("The one evaluation prompt is not asked by the rows")


def cells(found: Any, label: str) -> list[tuple[str, str]]:
    (row,) = [row for row in found["table"] if row["label"] == label]
    return [(cell["text"], cell["note"]) for cell in row["cells"]]


def test_shares_under_the_worst_tie_rank_stand_beside_the_best(tmp_path: Path) -> None:
    """Of four tokens one is tied with one other: the best rank is 1, the worst 2."""
    answers = []
    for prompt in (0, 1):
        response = response_record(prompt, "m", "TheThe")
        tokens = [
            token_record(response["response_id"], k, rank_ties=prompt * k, char_start=3 * k,
                         char_end=3 * k + 3)
            for k in (0, 1)
        ]  # fmt: skip
        answers.append((response, tokens))
    found = view(model_artefacts(tmp_path, "m", answers))
    assert cells(found, "unshifted") == [
        ("100%", "each of 4 tokens (75.0% under the worst tie rank)")
    ]
    assert cells(found, "marginal") == [("0%", "none in 4 tokens (25.0% under the worst tie rank)")]
    assert cells(found, "shifted") == [("0%", "none in 4 tokens")]


def test_words_stand_beside_pieces_and_not_on_a_redacted_page(tmp_path: Path) -> None:
    word = {"word": "Jupiter", "kind": "name", "n": 2, "n_all": 3}
    where = {"kinds": [], "tags": {}, "frequent_words": {"shifted": [word] * 9, "marginal": []},
             **dict.fromkeys(("sentence_start", "response_start"), BEGINNING)}  # fmt: skip
    given = small(tmp_path, "m", {0: [0.5]}, shift_about={"where": where})
    found = view(given, n_frequent=2)["models"][0]
    assert found["frequent"]["shifted"]["words"] == [["Jupiter", "name", 2, 3]] * 2
    assert found["frequent"]["marginal"]["words"] == []
    assert "frequent_words" not in found["where"]
    assert "Jupiter" not in json.dumps(view(given, redact=True))


BEGINNING = {
    "difference": {"estimate": None, "reason": "no values"},
    "at_equal_entropy": {"difference": {"estimate": None, "reason": "no values"}},
}


def test_how_each_model_was_scored(tmp_path: Path) -> None:
    quantised = {"by": "gguf", "type": "Q4_1", "bits": 5.0}
    base = {"computed_in": "float32", "stored_dtype": None, "quantised": quantised}
    about = {
        "base_template": {"name": "raw", "kind": "raw", "sha256": "x"},
        "same_stop": False,
        "precision": {"base": base, "tuned": base | {"quantised": None}},
    }
    models = [
        small(tmp_path, "a", {0: [0.5]}, shift_about=about),
        small(tmp_path, "b", {0: [0.5]}),
    ]
    found = view(*models)
    first, second = (said for _, said in found["how"]["scored"])
    assert first.startswith("Base: stored in 5 bits (gguf Q4_1), computed in float32; ")
    assert "the base read its prompts under the template raw" in first
    assert "different tokens, so the last position shifts by that" in first
    assert second == "Base: float32; both models were scored in float32."
    assert cells(found, "base read under") == [("raw", ""), ("the same template", "")]
    assert not [row for row in view(models[1])["table"] if row["label"] == "base read under"]


def test_values_in_the_manner_of_lin_et_al_only_with_their_note(tmp_path: Path) -> None:
    mean = {"estimate": -0.25, "low": -0.5, "high": 0.125, "reason": None}
    lin2024 = {
        "note": "no divergence", "k": 30, "rank_note": "31 is a bound", "beyond_the_list": mean,
        "means": {"top30_kl": mean, "top30_rank": {"estimate": None, "reason": "no"}},
        "categories": {"shifted": {"n": 1, "share": mean | {"estimate": 0.1, "low": None}}},
        "absent": {"a": {"nothing is shared": 1}, "b": {"nothing is shared": 1}},
    }  # fmt: skip
    found = view(
        small(tmp_path, "a", {0: [0.5]}, shift_about={"lin2024": lin2024}),
        small(tmp_path, "b", {0: [0.5]}),
    )
    assert found["how"]["lin2024"] == {
        "note": "no divergence",
        "notes": ["Of ranks: 31 is a bound.", "Absent for a: at 1 position nothing is shared."],
        "columns": ["measure", "a"],
        "rows": [
            ["top30_kl", "-0.250 [-0.500, 0.125]"],
            ["top30_rank", "no"],
            ["ranks beyond 30", "-25.0% [-50.0, 12.5]"],
            ["shifted", "10.0%"],
        ],
    }
    assert "-0.250" not in json.dumps({**found, "how": None})
    assert view(small(tmp_path, "c", {0: [0.5]}))["how"]["lin2024"] is None


def test_where_it_came_from_names_no_folders(tmp_path: Path) -> None:
    found = view(small(tmp_path, "m", {0: [0.5]}, note=NOTE))
    assert str(tmp_path) not in json.dumps(found)
    assert short_place("/home/somebody/model") == "model"
    assert short_place("C:\\models\\mine") == "mine"
    assert short_place("org/name") == "org/name"
    assert short_place("embedded:smollm2-135m") == "embedded:smollm2-135m"


def test_the_line_for_the_terminal(tmp_path: Path) -> None:
    """Means of five tokens by hand; the floor is the mean of 0.5, 1 and 1.5 times 0.0003."""
    about = small(tmp_path, "m", {0: [0.25, 0.75], 1: [0.5, 0.5, 1.0]}).shift.about
    said = dict(zip(COLUMNS, headline("m", about), strict=True))
    assert (said["model"], said["rate"], said["tokens"]) == ("m", "5e-5", "5")
    assert said["mean KL [95% interval]"].startswith("0.600 [")
    assert said["floor"] == "0.00030"
    assert (said["unshifted"], said["marginal"], said["shifted"]) == ("20.0%", "0%", "80.0%")
    other = headline("m", about | {"base_template": {"name": "raw"}})
    assert other[0] == "m (base under raw)"
    nothing = headline("m", model_artefacts(tmp_path, "empty", []).shift.about)
    assert [nothing[2], *nothing[4:7]] == ["–"] * 4
