"""The base under another template than the tuned model's, on the same response tokens."""

import pytest
from made_responses import record
from transformers import AutoModelForCausalLM, AutoTokenizer

from aftertune import artefact, schema
from aftertune.artefact import Input, Plan
from aftertune.config import StageConfig
from aftertune.data.render import render_prompt, stop_ids
from aftertune.data.templates import get
from aftertune.errors import InputError, TemplateError
from aftertune.progress import Silent
from aftertune.shift.config import ShiftConfig
from aftertune.shift.inputs import REFUSED, TOO_LONG, UNREADABLE
from aftertune.shift.pair import Item
from aftertune.shift.run import run
from tiny_models import save_model

ASKED = ["Who wrote the play?", "Name the capital of the country.", "Boil an egg."]


class MadeConfig(StageConfig):
    n: int = 0


def responses(out, folder, template, messages=None):
    """Made answers to prompts under a template, as the artefact that `respond` would write."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = get(template, tokenizer)
    records = []
    for place, text in enumerate(ASKED):
        asked = [{"role": "user", "content": text}]
        ids = list(render_prompt(asked, None, found, tokenizer).ids)
        answer = tokenizer("The play was written in 1601.", add_special_tokens=False).input_ids
        made = record(tokenizer, f"r{place}", ids, [*answer, tokenizer.eos_token_id], None, "stop")
        records.append({**made, "messages": asked if messages is None else messages})
    given = Input("made", artefact.hash_json(records), "0" * 64, "made")
    plan = Plan("respond", 1, {}, MadeConfig(), (given,))
    with artefact.draft(out, plan) as draft:
        draft.write(0, {"responses": schema.from_rows("responses", records)})
        stops = stop_ids(found, tokenizer)
        return draft.finish({"done": 3}, {"template": {"name": template}, "stop_ids": stops})


def shift(base, tuned, given, out, progress=None, **options):
    config = ShiftConfig(base=str(base), tuned=str(tuned), **options)
    return run(config, given, out, progress or Silent())


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return save_model("llama", folder / "base"), save_model("llama", folder / "t", seed=1)


def test_the_tuned_models_own_template_changes_nothing(models, tmp_path):
    given = responses(tmp_path, models[1], "alpaca")
    plain = shift(*models, given, tmp_path)
    same = shift(*models, given, tmp_path, base_template="alpaca")
    assert plain.id != same.id  # another question, though with the same answer
    assert same.table("tokens").equals(plain.table("tokens"))
    assert same.table("noise_floor").equals(plain.table("noise_floor"))
    assert plain.about["base_template"] is None
    assert same.about["base_template"]["name"] == "alpaca"


def test_a_planted_case_where_the_template_alone_makes_the_shift(models, tmp_path):
    base, _ = models
    given = responses(tmp_path, base, "alpaca")
    nothing = shift(base, base, given, tmp_path)
    assert nothing.about["summary"]["kl_tuned_base_nats"]["per_token"]["estimate"] == 0
    for name in ("raw", "chat", "few-shot"):
        found = shift(base, base, given, tmp_path, base_template=name)
        assert found.about["summary"]["kl_tuned_base_nats"]["per_token"]["low"] > 0
        assert found.counts["done"] == 3


def test_only_the_base_reads_it(models, tmp_path):
    given = responses(tmp_path, models[1], "alpaca")
    plain = shift(*models, given, tmp_path).to_pandas("tokens")
    other = shift(*models, given, tmp_path, base_template="raw").to_pandas("tokens")
    for table in (plain, other):
        table.sort_values(["response_id", "position"], inplace=True)
    tuned = ["token_id", "tuned_logprob", "tuned_rank", "tuned_entropy_nats"]
    assert plain[tuned].to_numpy() == pytest.approx(other[tuned].to_numpy(), abs=1e-5)
    assert abs(plain["base_logprob"].to_numpy() - other["base_logprob"].to_numpy()).max() > 1e-3


def test_whether_answers_end_alike_is_said(models, tmp_path):
    given = responses(tmp_path, models[1], "chat")
    assert shift(*models, given, tmp_path, base_template="raw").about["same_stop"] is True
    other = save_model("llama", tmp_path / "other")
    tokenizer = AutoTokenizer.from_pretrained(other)
    tokenizer.eos_token = "<|endoftext|>"
    tokenizer.save_pretrained(other)
    progress = Silent()
    found = shift(other, models[1], given, tmp_path, progress, base_template="raw")
    assert found.about["same_stop"] is False
    assert any("do not end on the tokens" in warning for warning in progress.warnings)
    assert shift(*models, given, tmp_path).about["same_stop"] is True  # one prompt for both


def test_prompts_that_the_template_refuses_are_counted(models, tmp_path):
    given = responses(tmp_path, models[1], "alpaca", messages=[])
    with pytest.raises(InputError, match=REFUSED):
        shift(*models, given, tmp_path, base_template="raw")


def test_no_such_template(models, tmp_path):
    given = responses(tmp_path, models[1], "alpaca")
    with pytest.raises(TemplateError, match="no template 'nonsense'"):
        shift(*models, given, tmp_path, base_template="nonsense")


def test_prompts_too_long_for_the_base_are_counted(models, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(models[0])
    model.config.max_position_embeddings = 80  # three examples do not fit
    model.save_pretrained(tmp_path / "short")
    AutoTokenizer.from_pretrained(models[0]).save_pretrained(tmp_path / "short")
    given = responses(tmp_path, models[1], "raw")
    assert shift(tmp_path / "short", models[1], given, tmp_path).counts["done"] == 3
    with pytest.raises(InputError, match=f"3 with {TOO_LONG}"):
        shift(tmp_path / "short", models[1], given, tmp_path, base_template="few-shot")


def test_a_token_that_only_the_tuned_model_knows_may_stand_in_its_own_prompt(models, tmp_path):
    base, _ = models
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base)
    tokenizer.add_tokens(["<|tool|>"])
    model.resize_token_embeddings(448, mean_resizing=False)
    model.save_pretrained(tmp_path / "tuned")
    tokenizer.chat_template = "<|tool|>" + tokenizer.chat_template
    tokenizer.save_pretrained(tmp_path / "tuned")
    given = responses(tmp_path, tmp_path / "tuned", "chat")
    with pytest.raises(InputError, match=f"3 with {UNREADABLE}"):
        shift(base, tmp_path / "tuned", given, tmp_path)
    found = shift(base, tmp_path / "tuned", given, tmp_path, base_template="auto")
    assert found.counts["done"] == 3
    assert found.about["base_template"]["name"] == "chat"  # the base's own, without that token


def test_an_adapter_that_shares_the_bases_weights(llamas, adapter, tmp_path):
    base = llamas[0]
    given = responses(tmp_path, base, "alpaca")
    plain = shift(base, adapter, given, tmp_path)
    same = shift(base, adapter, given, tmp_path, base_template="alpaca")
    assert same.about["shared_weights"]
    assert same.table("tokens").equals(plain.table("tokens"))
    other = shift(base, adapter, given, tmp_path, base_template="few-shot")
    assert not other.table("tokens").equals(plain.table("tokens"))
    assert other.about["noise"]["kinds"].keys() == plain.about["noise"]["kinds"].keys()


def test_the_batches_hold_the_longer_of_both_prompts():
    item = Item("a", [1] * 3, [2] * 4, base_prompt=[1] * 50)
    assert (item.length, item.start("base"), item.start("tuned")) == (54, 50, 3)
    assert len(item.sequence("base")) == 54
    assert item.cut(1).length == 51
    assert Item("a", [1] * 3, [2] * 4).length == 7
