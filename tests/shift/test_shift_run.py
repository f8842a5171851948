"""The stage on tiny real models: parity with float64, adapters, vocabularies, what is left out."""

import math
import shutil

import numpy as np
import pytest
import torch
from killed import Killed
from made_responses import greedy, made, record
from plain_shift import logits64, plain_metrics
from transformers import AutoModelForCausalLM, AutoTokenizer

from aftertune.errors import InputError
from aftertune.models.load import load
from aftertune.models.score import Head
from aftertune.models.vocabulary import between
from aftertune.progress import Silent
from aftertune.shift import inputs
from aftertune.shift.common import CommonIds
from aftertune.shift.config import ShiftConfig
from aftertune.shift.pair import Item, Pair, score
from aftertune.shift.run import NOT_NUMBERS, OTHER_TEXT, run
from tiny_models import save_model

NATS = 1e-5
DIVERGENCES = ["kl_tuned_base_nats", "kl_base_tuned_nats", "js_nats"]


def shift(base, tuned, responses, out, progress=None, **options):
    config = ShiftConfig(base=str(base), tuned=str(tuned), **options)
    return run(config, responses, out, progress or Silent())


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen"])
def test_every_column_equals_a_plain_float64_computation(kind, tmp_path):
    base, tuned = save_model(kind, tmp_path / "base"), save_model(kind, tmp_path / "t", seed=1)
    records = greedy(tuned, 14)
    table = shift(base, tuned, made(tmp_path, records), tmp_path).table("tokens")
    rows = {(row["response_id"], row["position"]): row for row in table.to_pylist()}
    assert len(rows) == sum(len(one["response_token_ids"]) for one in records)
    for one in records:
        prompt, response = one["prompt_token_ids"], one["response_token_ids"]
        both = [logits64(folder, [*prompt, *response]) for folder in (base, tuned)]
        for position, token in enumerate(response):
            at = len(prompt) + position - 1
            row = rows[one["response_id"], position]
            expected = plain_metrics(both[0][at], both[1][at], token)
            expected["category"] = (None, "unshifted", "marginal", "shifted")[expected["category"]]
            for name in ("base", "tuned"):
                top = row.pop(f"{name}_top")
                assert [entry["token_id"] for entry in top] == expected.pop(f"{name}_top_ids")
                probs = expected.pop(f"{name}_top_probs")
                assert [entry["prob"] for entry in top] == pytest.approx(probs, abs=NATS)
            for name, value in expected.items():
                exact = not isinstance(value, float)
                assert row[name] == (value if exact else pytest.approx(value, abs=NATS)), name
            assert row["token_id"] == token


def test_base_against_itself_shows_no_shift(llamas, tmp_path):
    base, _, responses = llamas
    found = shift(base, base, responses, tmp_path)
    table = found.to_pandas("tokens")
    assert not table[DIVERGENCES].to_numpy().any()
    assert set(table["category"]) == {"unshifted"}
    summary = found.about["summary"]
    assert summary["kl_tuned_base_nats"]["per_token"]["high"] == 0
    assert summary["categories"]["unshifted"]["share"]["low"] == 1
    noise = found.to_pandas("noise_floor")
    assert not noise[noise["kind"] == "identity"]["kl_nats"].any()


def test_the_batch_plan_changes_no_value_beyond_rounding(llamas, tmp_path):
    together = shift(*llamas, tmp_path / "a").to_pandas("tokens")
    alone = shift(*llamas, tmp_path / "b", batch_tokens=1, part_tokens=1).to_pandas("tokens")
    keys = ["response_id", "position"]
    together, alone = together.sort_values(keys), alone.sort_values(keys)
    for name in together.columns.drop(["base_top", "tuned_top"]):
        one, other = together[name].to_numpy(), alone[name].to_numpy()
        if one.dtype.kind == "f":
            assert np.allclose(one, other, rtol=0, atol=NATS), name
        else:
            assert (one == other).all(), name


def test_an_adapter_is_scored_with_one_set_of_weights(llamas, adapter, tmp_path):
    base, _, responses = llamas
    found = shift(base, adapter, responses, tmp_path)
    assert found.about["shared_weights"]
    assert found.about["summary"]["kl_tuned_base_nats"]["per_token"]["estimate"] > 0.01
    assert found.about["tuning"]["rank"] == 4


def test_adapter_off_equals_a_separately_loaded_base_bit_for_bit(llamas, adapter):
    tuned, base = load(adapter, dtype="float32"), load(llamas[0], dtype="float32")
    vocab = between(base.side(), tuned.side())
    common = CommonIds.of(
        torch.from_numpy(vocab.common), vocab.base_size, vocab.tuned_size, tuned.device
    )
    items = [Item("a", [5, 6, 7], [30, 31, 32, 33]), Item("b", [8], [40, 41])]
    one = [score(p, p.heads(), items, common, 5) for p in (Pair(None, tuned), Pair(base, tuned))]
    for shared, apart in zip(*one, strict=True):
        for name, values in shared.items():
            assert torch.equal(values, apart[name]), name


def test_an_adapter_on_another_base_takes_two_sets_of_weights_and_a_warning(
    llamas, adapter, tmp_path
):
    _, other, responses = llamas
    progress = Silent()
    found = shift(other, adapter, responses, tmp_path, progress)
    assert not found.about["shared_weights"]
    assert any("is not" in warning for warning in progress.warnings)


def test_an_adapter_whose_base_is_gone_stands_on_the_base_that_was_given(llamas, adapter, tmp_path):
    base, _, responses = llamas
    moved = shutil.copytree(adapter, tmp_path / "moved")
    config = moved / "adapter_config.json"
    config.write_text(config.read_text().replace(str(base), "/nowhere/base"))
    found = shift(base, moved, responses, tmp_path)
    assert found.about["shared_weights"]


def added(folder, to, loud):
    """The model with one added token, its embedding rows padded to 448; `loud`: its favourite."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer.add_tokens(["<|tool|>"])
    torch.manual_seed(0)
    model.resize_token_embeddings(448, mean_resizing=False)
    with torch.no_grad():
        model.lm_head.weight[-48:] = 0  # the ids beyond the base's: logit 0
        if loud:
            model.lm_head.weight[len(tokenizer) - 1] = 50 * model.lm_head.weight[:400].mean(0)
    model.save_pretrained(to)
    tokenizer.save_pretrained(to)
    return len(tokenizer) - 1


def test_added_tokens_and_padded_embeddings_are_mass_outside(llamas, tmp_path):
    base, _, responses = llamas
    tool = added(base, tmp_path / "tuned", loud=False)
    found = shift(base, tmp_path / "tuned", responses, tmp_path)
    table = found.to_pandas("tokens")
    # the same weights on the common ids: no shift there, and mass on the 48 others
    assert table["kl_tuned_base_nats"].max() < NATS
    assert (table["tuned_mass_outside_common"] > 1e-3).all()
    assert (table["base_mass_outside_common"] == 0).all()
    assert found.about["vocabulary"]["tuned_only"] == [tool]
    assert found.about["vocabulary"]["n_unnamed"] == 448 - tool - 1


def test_an_added_token_can_be_predicted_last_but_not_read_by_the_base(llamas, tmp_path):
    base = llamas[0]
    tool = added(base, tmp_path / "tuned", loud=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tuned")
    records = [
        record(tokenizer, "last", [5, 6], [30, 31, tool]),
        record(tokenizer, "inside", [5, 6], [30, tool, 31]),
    ]
    found = shift(base, tmp_path / "tuned", made(tmp_path, records), tmp_path)
    assert found.counts["skipped"] == {inputs.UNREADABLE: 1}
    table = found.to_pandas("tokens")
    assert set(table["response_id"]) == {"last"}
    last = table[table["position"] == 2].iloc[0]
    assert last["token_id"] == tool
    assert math.isnan(last["base_logprob"])
    assert math.isnan(last["base_rank"])
    loud = table[table["tuned_argmax"] == tool]
    assert len(loud) > 0
    assert loud["base_rank_of_tuned_argmax"].isna().all()
    assert loud["rank_ties"].isna().all()
    assert loud["category"].isna().all()
    assert found.counts["without_rank"] == {"argmax outside the common vocabulary": len(loud)}


def test_what_cannot_be_scored_is_counted_with_its_reason(llamas, tmp_path):
    base, tuned, _ = llamas
    tokenizer = AutoTokenizer.from_pretrained(base)
    records = [
        record(tokenizer, "good", [5, 6], [30, 31, 32]),
        record(tokenizer, "none", None, None, "text alone"),
        record(tokenizer, "empty", [5], []),
        record(tokenizer, "unprompted", [], [30]),
        record(tokenizer, "long", [5], [30] * 2048),
        record(tokenizer, "other", [5], [30, 31], "not what the ids say"),
    ]
    found = shift(base, tuned, made(tmp_path, records), tmp_path)
    assert found.counts["done"] == 1
    assert found.counts["tokens"] == 3
    reasons = (inputs.NO_IDS, inputs.EMPTY, inputs.NO_PROMPT, inputs.TOO_LONG)
    assert found.counts["skipped"] == dict.fromkeys(sorted(reasons), 1)
    assert found.counts["unscored"] == {OTHER_TEXT: 1}
    with pytest.raises(InputError, match=r"no response in .* can be scored"):
        shift(base, tuned, made(tmp_path, records[1:3]), tmp_path)


def test_a_broken_model_leaves_responses_unscored(llamas, tmp_path):
    base, _, responses = llamas
    model = AutoModelForCausalLM.from_pretrained(base)
    first = responses.table("responses").column("response_token_ids")[0][0].as_py()
    with torch.no_grad():
        model.model.embed_tokens.weight[first] = math.nan
    model.save_pretrained(tmp_path / "broken")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "broken")
    found = shift(base, tmp_path / "broken", responses, tmp_path)
    assert found.counts["unscored"][NOT_NUMBERS] >= 1
    assert found.counts["done"] + found.counts["unscored"][NOT_NUMBERS] == 5
    assert found.about["summary"]["n_responses"] == found.counts["done"]


def test_the_stop_token_is_scored_and_has_an_empty_span(llamas, tmp_path):
    base, tuned, _ = llamas
    tokenizer = AutoTokenizer.from_pretrained(base)
    ids = tokenizer("A poet wrote it. It was 1601.", add_special_tokens=False).input_ids
    special = record(tokenizer, "special", [5], [*ids, 2], finish_reason="stop")
    # an ordinary token on which the answer ended, which therefore is not in its text
    ordinary = record(tokenizer, "plain", [5], [*ids, ids[0]], special["response"], "stop")
    table = shift(base, tuned, made(tmp_path, [special, ordinary]), tmp_path).to_pandas("tokens")
    for name in ("special", "plain"):
        rows = table[table["response_id"] == name].sort_values("position")
        assert list(rows["position"]) == list(range(len(ids) + 1))
        text = special["response"]
        spans = list(zip(rows["char_start"], rows["char_end"], strict=True))
        assert "".join(text[start:end] for start, end in spans) == text
        assert spans[-1] == (len(text), len(text))
        assert rows["sentence"].max() == 1


def test_bfloat16_is_left_where_the_shift_is_near_its_floor(llamas, near, tmp_path):
    base, tuned, responses = llamas
    close = shift(base, near, responses, tmp_path, dtype="bfloat16")
    assert close.about["rescored_in_fp32"]
    assert close.about["dtype"] == "float32"
    asked = close.about["rescored"]
    assert asked["mean_kl_nats"] < 5 * asked["floor_nats"]
    exact = shift(base, near, responses, tmp_path, dtype="float32")
    assert close.id != exact.id
    assert close.table("tokens").equals(exact.table("tokens"))
    kept = shift(base, near, responses, tmp_path, dtype="bfloat16", rescore=False)
    far = shift(base, tuned, responses, tmp_path, dtype="bfloat16")
    for found in (kept, far):
        assert not found.about["rescored_in_fp32"]
        assert found.about["dtype"] == "bfloat16"
    assert kept.about["noise"]["floor_nats"] > 100 * exact.about["noise"]["floor_nats"]


@pytest.mark.parametrize("after", [1, 2, 4, 5])
def test_an_interrupted_run_goes_on_and_ends_like_an_undisturbed_one(llamas, after, tmp_path):
    options = {"batch_tokens": 40, "part_tokens": 10}
    with pytest.raises(KeyboardInterrupt):
        shift(*llamas, tmp_path / "a", Killed(after), **options)
    resumed = shift(*llamas, tmp_path / "a", **options)
    whole = shift(*llamas, tmp_path / "b", **options)
    assert len(whole.manifest["tables"]["tokens"]) > 2
    one, other = ({**found.manifest, "seconds": 0} for found in (resumed, whole))
    assert one == other


def test_the_same_question_is_answered_once_and_another_is_another(llamas, tmp_path):
    first = shift(*llamas, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in first.folder.rglob("*")}
    again = shift(*llamas, tmp_path, name="another name")
    assert again.id == first.id
    assert {p: p.stat().st_mtime_ns for p in first.folder.rglob("*")} == before
    assert shift(*llamas, tmp_path, top_k=3).id != first.id


def test_the_manifest_says_what_was_measured_on_what(llamas, tmp_path):
    found = shift(*llamas, tmp_path, name="other")
    about = found.about
    assert about["name"] == "other"
    assert about["text"] == {"responses": llamas[2].id, "models": ["made"]}
    assert about["template"] == {"name": "raw"}
    assert about["models"]["base"]["id"] != about["models"]["tuned"]["id"]
    assert about["models"]["tuned"]["facts"]["parameters"] > 0
    assert about["noise"]["kinds"].keys() == {"cached", "identity", "other_batching", "precision"}
    assert about["noise"]["absent"] == {}


def test_memory_is_bounded_by_a_chunk_of_positions(llamas, monkeypatch):
    """No more than the chunk's logits exist at once, however long the response."""
    tuned = load(llamas[0], dtype="float32")
    monkeypatch.setattr("aftertune.shift.pair._HEAD_POSITIONS", 16)
    seen = []
    monkeypatch.setattr(Head, "logits", _noting(Head.logits, seen))
    pair = Pair(tuned, tuned)
    common = CommonIds.of(None, 400, 400, tuned.device)
    item = Item("a", [5], [30] * 100)
    heads = {"base": Head.of(tuned.model), "tuned": Head.of(tuned.model)}
    (found,) = score(pair, heads, [item], common, 5)
    assert len(found["kl_tuned_base_nats"]) == 100
    assert max(seen) == 16


def _noting(logits, seen):
    def noted(self, hidden):
        seen.append(len(hidden))
        return logits(self, hidden)

    return noted
