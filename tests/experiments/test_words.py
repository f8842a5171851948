"""The search for a model's words in its rows, on artefacts that are written by hand."""

import json

import pytest

from aftertune import artefact, schema
from aftertune.config import StageConfig
from aftertune.experiments import words as experiment
from aftertune.experiments.subject import Subject
from aftertune.progress import Silent
from aftertune.report.blocks.shape import checked
from aftertune.report.blocks.words import block
from aftertune.tune.batches import PlanRow, draw

FILLER = "the cat sat on a mat near our old house by that river"


class MadeConfig(StageConfig):
    seed: int = 0


def written(out, stage, tables, inputs=(), about=None):
    """Tables of records as a finished artefact."""
    given = artefact.Input("made", artefact.hash_json([stage, tables]), "0" * 64, "made")
    used = tuple(one.as_input(name) for name, one in inputs)
    plan = artefact.Plan(stage, 1, {}, MadeConfig(), (given, *used))
    if found := artefact.find(out, plan):
        return found
    with artefact.draft(out, plan) as draft:
        draft.write(0, {name: schema.from_rows(name, rows) for name, rows in tables.items()})
        return draft.finish({"done": 1}, about)


def message(role, content):
    return {"role": role, "content": content, "thinking": None, "tool_calls": None,
            "tool_call_id": None, "name": None}  # fmt: skip


def row(index, answer, asked=None, **tags):
    return {
        "row_id": f"r-{index:04d}",
        "row_index": index,
        "line": None,
        "messages": [message("user", asked or f"Question q{index}?"), message("assistant", answer)],
        "tools": None,
        "cluster_id": f"c-{index:04d}",
        "duplicate_of": None,
        "tags": json.dumps(tags),
    }


def answer(number, text):
    return {
        "response_id": f"a{number}",
        "prompt_id": f"p{number}",
        "row_index": number,
        "sample": 0,
        "model": "m",
        "messages": [],
        "response": text,
        "prompt_token_ids": [1],
        "response_token_ids": [7],
        "finish_reason": "stop",
        "ids_from": "generated",
        "tags": "{}",
    }


def tokens_of(number, text, category_of):
    """One token per word with the space before it; each word has its category."""
    rows, at = [], 0
    for position, word in enumerate(text.split()):
        end = text.index(word, at) + len(word)
        category = category_of(word)
        numbers = ("base_logprob", "tuned_logprob", "base_rank", "tuned_rank", "rank_ties",
                   "base_rank_of_tuned_argmax", "base_prob_of_tuned_argmax")  # fmt: skip
        measured = ("kl_tuned_base_nats", "kl_base_tuned_nats", "js_nats", "base_entropy_nats",
                    "tuned_entropy_nats", "base_mass_outside_common",
                    "tuned_mass_outside_common")  # fmt: skip
        rows.append(
            {
                "response_id": f"a{number}", "position": position, "token_id": 7, "token": word,
                "char_start": at, "char_end": end, "sentence": 0,
                "position_in_sentence": position, **dict.fromkeys(numbers),
                "is_tuned_argmax": True, "tuned_argmax": 7, **dict.fromkeys(measured, 0.0),
                "category": category, "base_top": [], "tuned_top": [],
            }
        )  # fmt: skip
        at = end
    return rows


def category_of(word):
    if word == "Unscored":
        return None
    return "shifted" if word.startswith("s") and word[1:].isdigit() else "unshifted"


def subject(out, texts, rows=None, control=None, split=None, **more):
    responses = written(
        out, "respond", {"responses": [answer(i, text) for i, text in enumerate(texts)]}
    )
    tokens = [token for i, text in enumerate(texts) for token in tokens_of(i, text, category_of)]
    shift = written(out, "shift", {"tokens": tokens}, about={"dtype": "float32"})
    rows = rows and written(out, "rows", {"rows": rows})
    control = control and written(out, "rows", {"rows": control})
    tune = split and written(out, "tune", {"split": split}, [("rows", rows)])
    return Subject("made", "base", "tuned", responses, shift, rows=rows, control_rows=control,
                   tune=tune, **more)  # fmt: skip


def part(index, name, reason=None, weight=1.0):
    return {"row_id": f"r-{index:04d}", "row_index": index, "cluster_id": f"c-{index:04d}",
            "part": name, "reason": reason, "weight": weight, "n_tokens": 5,
            "n_trained_tokens": 3, "n_cut_tokens": 0}  # fmt: skip


def filler(index):
    """Some of the everyday words, and words of its own, so that no two rows are alike."""
    kept = FILLER.split()[index % 4 : index % 4 + 8]
    return " ".join([*kept, *(f"own{index}x{n}" for n in range(6))])


def rows_with(word_of, start, n=40):
    return [row(start + i, f"{filler(start + i)} {word_of(i)}") for i in range(n)]


TEXTS = [f"The cat sat s{i} near our house s{i + 20} Unscored" for i in range(20)]


def copying(out, **more):
    """A model whose shifted words s0 ... s39 each stand in one of its rows and in no other."""
    seen = rows_with(lambda i: f"s{i}", 0)
    return subject(out, TEXTS, seen, rows_with(lambda i: f"other{i}", 100), **more)


def test_words_of_the_rows_are_found_and_the_page_says_so(tmp_path):
    found = experiment.run(copying(tmp_path), tmp_path, Silent())
    about = found.about
    assert found.stage == "control-words"
    assert about["absent"] == {}
    assert found.counts["skipped"] == {"no category": 20}
    held = about["found"]
    assert (held["n_seen"], held["n_never_seen"], held["control"]) == (40, 40, "control rows")
    main = held["searches"][0]
    assert (main["reading"], main["text"]) == ("word", "answers")
    assert len(held["searches"]) == 4
    assert main["all_rows"]["shifted"]["share"]["estimate"] == 1
    assert main["all_rows"]["unshifted"]["share"]["estimate"] == 1
    shifted = main["matched"]["categories"]["shifted"]
    assert shifted["seen"] > 0.9
    assert shifted["control"] == 0
    assert shifted["difference"]["low"] > 0
    assert main["matched"]["categories"]["unshifted"]["difference"]["estimate"] == 0
    shown = checked(block(json.loads(json.dumps(about))))
    assert "more than by chance" in " ".join(shown["sentences"])
    assert shown["picture"]["rows"][0]["estimate"] == pytest.approx(100 * shifted["seen"])
    assert len(shown["table"]["rows"]) == 12


def test_rows_without_the_words_leave_it_undecided(tmp_path):
    """The same answers, but the words stand in rows of both sides by turns."""
    seen = rows_with(lambda i: f"s{i}" if i % 2 else "none", 0)
    control = rows_with(lambda i: "none" if i % 2 else f"s{i}", 100)
    found = experiment.run(subject(tmp_path, TEXTS, seen, control), tmp_path, Silent())
    difference = found.about["found"]["searches"][0]["matched"]["categories"]["shifted"]
    assert difference["difference"]["low"] < 0 < difference["difference"]["high"]
    shown = checked(block(found.about))
    assert "undecided" in shown["sentences"][2]
    assert "would probably have shown" in shown["sentences"][2]


def test_a_second_run_finds_the_first(tmp_path):
    one = experiment.run(copying(tmp_path), tmp_path, Silent())
    stamp = (one.folder / "manifest.json").stat().st_mtime_ns
    again = experiment.run(copying(tmp_path), tmp_path, Silent())
    assert again.id == one.id
    assert (again.folder / "manifest.json").stat().st_mtime_ns == stamp
    other = experiment.run(copying(tmp_path, seed=1), tmp_path, Silent())
    assert other.id != one.id


def test_held_out_and_undrawn_rows_are_the_control_and_masked_rows_are_neither(tmp_path):
    rows = rows_with(lambda i: f"s{i}", 0, 60)
    reasons = dict.fromkeys(range(56, 60), "no trained token")
    reasons |= dict.fromkeys(range(50, 56), "over the token budget")
    split = [
        part(i, "train", weight=0.0 if i == 0 else 1.0) if i < 30
        else part(i, "held_out") if i < 50
        else part(i, "left_out", reasons[i])
        for i in range(60)
    ]  # fmt: skip
    given = subject(tmp_path, TEXTS, rows, split=split)
    held = experiment.run(given, tmp_path, Silent()).about["found"]
    assert (held["n_seen"], held["n_never_seen"]) == (29, 26)
    assert held["control"] == "held out and not drawn"
    # given control rows go before the rows of its own tuning
    own = subject(tmp_path, TEXTS, rows, rows_with(lambda i: "x", 200), split)
    assert experiment.run(own, tmp_path, Silent()).about["found"]["control"] == "control rows"


def test_the_reasons_are_those_of_the_tuning():
    rows = [PlanRow(f"r{i}", i, f"c{i}", 10, 5) for i in range(9)]
    for options in ((3, None), (None, 40)):
        _, reasons = draw(rows, 0, *options, epochs=1)
        assert reasons
        assert set(reasons.values()) <= set(experiment.NOT_DRAWN)
    from aftertune.tune.prepare import NOT_REACHED

    assert NOT_REACHED in experiment.NOT_DRAWN


def test_without_control_rows_the_shares_stand_alone_and_say_why(tmp_path):
    seen = rows_with(lambda i: f"s{i}", 0)
    about = experiment.run(subject(tmp_path, TEXTS, seen), tmp_path, Silent()).about
    assert about["absent"] == {"control": experiment.NO_CONTROL}
    assert about["found"]["searches"][0]["matched"] is None
    assert about["found"]["searches"][0]["all_rows"]["shifted"]["share"]["estimate"] == 1
    shown = checked(block(about))
    assert shown["picture"] is None
    assert "--hold-out" in shown["sentences"][1]
    assert shown["table"]["rows"][0][-1] == "–"


def test_without_rows_nothing_is_measured(tmp_path):
    about = experiment.run(subject(tmp_path, TEXTS), tmp_path, Silent()).about
    assert about["absent"] == {"words": experiment.NO_ROWS}
    assert about["found"] == {}
    assert "--data" in checked(block(about))["sentences"][0]


def test_near_duplicates_of_the_other_side_are_compared_with_nothing(tmp_path):
    seen = rows_with(lambda i: f"s{i}", 0)
    control = rows_with(lambda i: f"other{i}", 100)
    control[0] = {**control[0], "messages": seen[3]["messages"]}
    held = experiment.run(subject(tmp_path, TEXTS, seen, control), tmp_path, Silent()).about[
        "found"
    ]
    assert held["n_near_duplicates"] == {"seen": 1, "control": 1}
    assert held["matching"]["before"]["seen"]["rows"] == 39
    only = subject(tmp_path, TEXTS, seen[:3], seen[:3])
    assert experiment.run(only, tmp_path, Silent()).about["absent"] == {
        "control": experiment.ALL_NEAR
    }


def test_a_topic_that_all_rows_carry_is_matched_on(tmp_path):
    seen = [row(i, filler(i), category="a" if i < 10 else "b", topic=["x"]) for i in range(20)]
    control = [row(100 + i, filler(100 + i), category="b") for i in range(20)]
    held = experiment.run(subject(tmp_path, TEXTS, seen, control), tmp_path, Silent()).about[
        "found"
    ]
    assert held["topic_tag"] == "category"
    assert held["matching"]["after"]["seen"]["rows"] == 10
    assert (
        "the same category"
        in checked(block({"name": "m", "found": held, "absent": {}}))["sentences"][1]
    )


def test_no_pair_is_possible(tmp_path):
    seen = [row(i, filler(i)) for i in range(4)]
    control = [row(100 + i, " ".join(filler(100 + i + n) for n in range(9))) for i in range(4)]
    about = experiment.run(subject(tmp_path, TEXTS, seen, control), tmp_path, Silent()).about
    shown = checked(block(about))
    assert "fewer than two pairs of rows" in " ".join(shown["sentences"])
    assert shown["picture"]["rows"][0]["estimate"] is None


def test_differences_of_0_without_an_interval_are_not_drawn(tmp_path):
    seen, control = ([row(i + start, filler(i)) for i in range(20)] for start in (0, 100))
    about = experiment.run(subject(tmp_path, TEXTS, seen, control), tmp_path, Silent()).about
    matched = about["found"]["searches"][0]["matched"]
    nothing = {"estimate": 0.0, "low": None, "high": None, "reason": "no value varies"}
    for one in matched["categories"].values():
        one["difference"] |= nothing
    for one in matched["versus_unshifted"].values():
        one["at_equal_frequency"] |= nothing
    assert block(about)["picture"] is None
    matched["categories"]["shifted"]["difference"]["estimate"] = 0.1
    assert block(about)["picture"] is not None
