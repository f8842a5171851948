"""The training callback: its numbers, what it must not disturb, its budget and its cost."""

import itertools
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from trl import SFTConfig, SFTTrainer

from aftertune.callback import ShiftCallback
from aftertune.errors import ConfigError, ModelError
from aftertune.models.load import load
from aftertune.shift.categories import CATEGORIES
from aftertune.shift.common import CommonIds
from aftertune.shift.pair import Item, Pair, score
from aftertune.tune import callback as callback_module
from aftertune.tune import probe
from aftertune.tune.callback import RECORD, SHARE, spacing

PROMPTS = ["Name the capital.", "Boil an egg?", "Who wrote the play? It was written in 1601."]
TEXT = "The largest planet of the solar system is Jupiter, and the smallest is Mercury. " * 4
KL = "shift_on_base_answers/kl_tuned_base_nats"
FEW = {"prompts": PROMPTS, "max_new_tokens": 12, "forgetting_text": TEXT, "every": 2}


def lora(**options: Any) -> LoraConfig:
    # dropout draws random numbers at every step, and the first state is not the base
    defaults = {"r": 4, "lora_dropout": 0.2, "target_modules": ["q_proj", "v_proj"]}
    return LoraConfig(task_type="CAUSAL_LM", **{**defaults, **options})


def build(folder: Path, out: Path, adapter: LoraConfig | None = None, **options: Any) -> Trainer:
    """A stock Trainer over 24 rows of random tokens, six steps of two batches each."""
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    chance = np.random.default_rng(0)
    rows = [{"input_ids": chance.integers(3, 300, 16).tolist()} for _ in range(24)]
    defaults = {
        "output_dir": str(out), "per_device_train_batch_size": 2, "max_steps": 6,
        "gradient_accumulation_steps": 2, "learning_rate": 3e-3, "logging_steps": 1,
        "lr_scheduler_type": "constant", "report_to": "none", "use_cpu": True,
        "disable_tqdm": True, "save_strategy": "no", "seed": 1,
    }  # fmt: skip
    return Trainer(
        model=get_peft_model(model, adapter) if adapter else model,
        args=TrainingArguments(**{**defaults, **options}),
        train_dataset=Dataset.from_list([{**row, "labels": row["input_ids"]} for row in rows]),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )


def trained(trainer: Trainer, **options: Any) -> ShiftCallback:
    callback = ShiftCallback(trainer, **{**FEW, **options})
    trainer.add_callback(callback)
    trainer.train()
    return callback


def losses(trainer: Trainer) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def from_the_shift_stage(
    callback: ShiftCallback, base: Path, tuned: Path, adapter: bool
) -> dict[str, float]:
    """The same numbers from both checkpoints, loaded and scored as the shift stage does."""
    second = load(tuned, base, dtype="float32")
    pair = Pair(None if adapter else load(base, dtype="float32"), second)
    texts = callback.texts
    items = [
        Item(str(i), prompt, answer)
        for i, (prompt, answer) in enumerate(zip(texts.prompts, texts.answers, strict=True))
    ]
    size = callback.base.head.weight.shape[0]
    common = CommonIds.of(None, size, size, torch.device("cpu"))
    found = score(pair, pair.heads(), items, common, 5)
    kl = torch.cat([one["kl_tuned_base_nats"] for one in found])
    category = torch.cat([one["category"] for one in found])
    numbers = {
        "kl_tuned_base_nats": kl.mean(),
        "kl_tuned_base_nats_per_response": torch.stack(
            [one["kl_tuned_base_nats"].mean() for one in found]
        ).mean(),
        "kl_base_tuned_nats": torch.cat([one["kl_base_tuned_nats"] for one in found]).mean(),
    }
    for code, name in enumerate(CATEGORIES, start=1):
        numbers[name] = (category == code).float().mean()
    return {f"shift_on_base_answers/{name}": float(value) for name, value in numbers.items()}


def plain_nats(model: Any, windows: list[list[int]]) -> float:
    """Mean negative log-probability in float64, window by window, from the model's own logits."""
    found = []
    for window in windows:
        with torch.no_grad():
            logits = model.double()(input_ids=torch.tensor([window])).logits[0, :-1]
        logprobs = logits.log_softmax(-1)
        found += [-float(logprobs[i, token]) for i, token in enumerate(window[1:])]
    return sum(found) / len(found)


# the numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "adapter"),
    [
        ("tiny_llama", None),
        ("tiny_gpt2", None),
        ("tiny_qwen", None),
        ("tiny_llama", lora()),
        ("tiny_llama", lora(target_modules=["q_proj", "lm_head"])),
        ("tiny_llama", lora(modules_to_save=["lm_head"])),
    ],
    ids=["llama", "gpt2", "qwen-tied", "lora", "lora-on-the-head", "lora-and-a-saved-head"],
)
def test_numbers_are_those_of_the_shift_stage_on_the_same_text(
    family: str, adapter: LoraConfig | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(family)
    rate = 2e-2 if adapter else 3e-3  # at an equal rate an adapter moves less
    trainer = build(folder, tmp_path / "run", adapter, learning_rate=rate)
    callback = trained(trainer)
    assert sorted(callback.history) == [0, 2, 4, 6]
    # before the first step nothing has changed, exactly
    start = callback.history[0]
    assert start[KL] == 0
    assert start["shift_on_base_answers/unshifted"] == 1
    assert start["forgetting/nats_per_token"] == 0

    end = callback.history[6]
    trainer.save_model(str(tmp_path / "tuned"))
    expected = from_the_shift_stage(callback, folder, tmp_path / "tuned", adapter is not None)
    assert end[KL] > 0.01
    for name, value in expected.items():
        assert end[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name

    windows = callback.texts.windows
    base = AutoModelForCausalLM.from_pretrained(folder)
    rise = plain_nats(trainer.model.eval(), windows) - plain_nats(base, windows)
    assert end["forgetting/nats_per_token"] == pytest.approx(rise, abs=1e-4)


def test_values_derived_by_hand(tiny_llama: Path, tmp_path: Path) -> None:
    """A base whose head is 0 gives every id the same probability."""
    trainer = build(tiny_llama, tmp_path)
    head = trainer.model.lm_head.weight
    with torch.no_grad():
        kept = head.clone()
        head.zero_()
    callback = ShiftCallback(trainer, **FEW)
    size = head.shape[0]
    assert callback.base.text_nats == pytest.approx(math.log(size), rel=1e-6)
    with torch.no_grad():
        head.copy_(kept)
    with probe.undisturbed(trainer.model):
        found = probe.measure(trainer.model, callback.base, callback.texts)
        sequence = torch.tensor([callback.texts.sequences[0]])
        logits = trainer.model(input_ids=sequence).logits[0].double()
    logprobs = logits[callback.texts.starts[0] - 1 : -1].log_softmax(-1)
    entropy = -(logprobs.exp() * logprobs).sum(-1)
    # KL(tuned from uniform) = ln V - H(tuned); all prompts count in `found`, so check the first
    one = probe.Texts("base_answers", callback.texts.sequences[:1], callback.texts.starts[:1], [])
    n = len(entropy)
    first = probe.Base(callback.base.states[:n], callback.base.head, torch.empty(0), None)
    with probe.undisturbed(trainer.model):
        alone = probe.measure(trainer.model, first, one)
    assert alone[KL] == pytest.approx(float((math.log(size) - entropy).mean()), abs=1e-5)
    assert "forgetting/nats_per_token" not in alone
    assert found["forgetting/nats_per_token"] == pytest.approx(
        plain_nats(trainer.model, callback.texts.windows) - math.log(size), abs=1e-4
    )
    # three tokens of 1 and one of 5: 2 per token, 3 per response
    values = torch.tensor([1.0, 1.0, 1.0, 5.0])
    assert float(probe._mean_of_means(values, [3, 1])) == 3


def test_the_base_head_is_copied_only_where_it_is_trained(
    tiny_llama: Path, tiny_qwen: Path, tmp_path: Path
) -> None:
    for folder, adapter, copied in (
        (tiny_llama, None, True),
        (tiny_qwen, None, True),
        (tiny_llama, lora(), False),
        (tiny_llama, lora(modules_to_save=["lm_head"]), False),  # the copy is PEFT's
    ):
        trainer = build(folder, tmp_path, adapter)
        callback = ShiftCallback(trainer, **FEW)
        held = callback.base.head.weight.data_ptr()
        own = {parameter.data_ptr() for parameter in trainer.model.parameters()}
        assert (held not in own) is copied
        assert not callback.base.states.requires_grad
        assert callback.base.states.shape == (sum(callback.texts.lengths), 32)


def test_an_adapter_that_takes_the_base_apart_is_measured_from_the_base(
    tiny_llama: Path, tmp_path: Path
) -> None:
    trainer = build(tiny_llama, tmp_path, lora(init_lora_weights="pissa"))
    callback = trained(trainer)
    assert callback.history[0][KL] == 0
    plain = ShiftCallback(build(tiny_llama, tmp_path / "plain"), **FEW)
    assert callback.texts.answers == plain.texts.answers
    torch.testing.assert_close(callback.base.logprobs, plain.base.logprobs, rtol=0, atol=1e-3)


def test_given_answers_have_another_name_and_end_with_the_stop_token(
    tiny_llama: Path, tmp_path: Path
) -> None:
    trainer = build(tiny_llama, tmp_path)
    callback = trained(trainer, answers=["Oslo", "Seven minutes.", "A poet"])
    tokenizer = trainer.processing_class
    assert tokenizer.decode(callback.texts.answers[0]) == "Oslo<|im_end|>"
    assert tokenizer.decode(callback.texts.prompts[0]).endswith("<|im_start|>assistant\n")
    assert callback.history[6]["shift_on_given_answers/kl_tuned_base_nats"] > 0
    assert KL not in callback.history[6]


# nothing else changes -----------------------------------------------------------------------------


@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bf16-autocast"])
@pytest.mark.parametrize("case", ["full", "lora"])
def test_training_is_bit_for_bit_the_same_with_it(
    case: str, bf16: bool, tiny_gpt2: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    # GPT-2 has dropout of its own, so a disturbed stream of random numbers shows
    folder, adapter = (tiny_gpt2, None) if case == "full" else (tiny_llama, lora())
    without = build(folder, tmp_path / "without", adapter, bf16=bf16)
    without.train()
    trainer = build(folder, tmp_path / "with", adapter, bf16=bf16)
    callback = trained(trainer, every=1)
    assert losses(trainer) == losses(without)
    assert len(losses(trainer)) == 6  # its own lines take no other's place
    own = dict(without.model.named_parameters())
    for name, parameter in trainer.model.named_parameters():
        assert torch.equal(parameter, own[name]), name
        assert parameter.requires_grad == own[name].requires_grad, name
    assert callback.history[0][KL] == 0  # measured outside autocast, so exactly
    assert callback.history[6][KL] > 0


def test_modes_and_random_streams_are_given_back(tiny_llama: Path, tmp_path: Path) -> None:
    import random

    trainer = build(tiny_llama, tmp_path, lora())
    model = trainer.model.train()
    model.get_base_model().model.layers[0].eval()  # as a frozen part may stand
    modes = [module.training for module in model.modules()]
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()

    def draw_and_fail() -> None:
        with probe.undisturbed(model):
            assert not any(module.training for module in model.modules())
            torch.rand(3), np.random.rand(), random.random()
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        draw_and_fail()
    ShiftCallback(trainer, **FEW)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]
    assert any(parameter.requires_grad for parameter in model.parameters())


class Reporter(TrainerCallback):
    """What TensorBoard, trackio and wandb see: they stand before the user's callbacks."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, dict[str, Any]]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        self.seen.append((state.global_step, dict(logs)))


def sft(folder: Path, out: Path, reporter: Reporter) -> SFTTrainer:
    torch.manual_seed(3)
    rows = [{"prompt": f"Question {i}?", "completion": f" Answer {i}."} for i in range(12)]
    arguments = SFTConfig(
        output_dir=str(out), max_steps=6, per_device_train_batch_size=2, logging_steps=3,
        learning_rate=3e-3, report_to="none", use_cpu=True, bf16=False, disable_tqdm=True,
        save_strategy="no",
    )  # fmt: skip
    return SFTTrainer(
        model=str(folder), args=arguments, train_dataset=Dataset.from_list(rows),
        peft_config=lora(), callbacks=[reporter],
    )  # fmt: skip


def test_sft_trainer_logs_it_and_keeps_its_own_averages(tiny_llama: Path, tmp_path: Path) -> None:
    plain, reporter = Reporter(), Reporter()
    without = sft(tiny_llama, tmp_path / "without", plain)
    without.train()
    trainer = sft(tiny_llama, tmp_path / "with", reporter)
    callback = trained(trainer, every=2)

    def own(seen: list[tuple[int, dict[str, Any]]]) -> list[tuple[int, dict[str, Any]]]:
        return [(step, logs) for step, logs in seen if "loss" in logs]

    assert own(reporter.seen) == own(plain.seen)
    assert "mean_token_accuracy" in own(reporter.seen)[0][1]
    ours = {step: logs for step, logs in reporter.seen if KL in logs}
    assert sorted(ours) == [0, 2, 4, 6]
    for step, logs in ours.items():
        assert {name: logs[name] for name in callback.history[step]} == callback.history[step]
        assert "mean_token_accuracy" not in logs
    assert any(KL in entry for entry in trainer.state.log_history)


# cost ---------------------------------------------------------------------------------------------


def test_spacing_by_hand() -> None:
    # 1,000 steps of 1 s: 40 s are allowed; 4 s of setup leave 36 evaluations of 1 s
    assert spacing(4.0, 1.0, 1.0, 1000) == 28  # ceil(1000 / 36)
    # cheap evaluations: at most 100 of them
    assert spacing(0.0, 0.0, 1.0, 1000) == 10
    # too short to afford one: only the last step
    assert spacing(4.0, 1.0, 1.0, 60) == 60
    assert spacing(0.0, 1.0, 1.0, 1) == 1


@given(
    setup=st.floats(0, 100), evaluation=st.floats(1e-3, 100), step=st.floats(1e-3, 100),
    steps=st.integers(1, 100_000),
)  # fmt: skip
def test_spacing_keeps_its_share(setup: float, evaluation: float, step: float, steps: int) -> None:
    every = spacing(setup, evaluation, step, steps)
    assert 1 <= every <= steps
    cost = setup + math.ceil(steps / every) * evaluation
    assert every == steps or cost <= SHARE * step * steps * (1 + 1e-9)


def test_left_to_itself_it_chooses_and_remembers_n_and_scores_the_last_step(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback_module, "spacing", lambda *_: 5)
    # a clock that moves whenever the callback looks at it
    ticks = itertools.count(1.0)
    monkeypatch.setattr(callback_module, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    callback = trained(build(tiny_llama, tmp_path, max_steps=12), every=None)
    assert sorted(callback.history) == [0, 5, 10, 12]
    assert json.loads((tmp_path / RECORD).read_text())["every"] == 5
    share = callback.history[12]["shift_callback/share_of_training_time"]
    # one look more, so one tick more; the callback's own time is no time of the training
    later = callback.share_of_training_time()
    assert callback.seconds / later == pytest.approx(callback.seconds / share + 1)
    assert share > 0


# the budget ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("adapter", [None, lora()], ids=["full", "lora"])
def test_the_last_model_within_the_budget_is_kept(
    adapter: LoraConfig | None, tiny_llama: Path, tmp_path: Path
) -> None:
    free = trained(build(tiny_llama, tmp_path / "free", adapter), every=1)
    curve = [free.history[step][KL] for step in range(7)]
    assert curve[3] < curve[4]
    trainer = build(tiny_llama, tmp_path / "run", adapter)
    callback = trained(trainer, every=1, budget_nats=(curve[3] + curve[4]) / 2)
    assert trainer.state.global_step == 4
    assert callback.kept == tmp_path / "run" / "within_budget" / "step-3"
    assert [path.name for path in callback.kept.parent.iterdir()] == ["step-3"]
    assert not (callback.kept / "training_args.bin").exists()
    found = from_the_shift_stage(callback, tiny_llama, callback.kept, adapter is not None)
    assert found[KL] == pytest.approx(curve[3], rel=1e-4)
    assert losses(trainer) == losses(free.trainer)[:4]
    assert "shift_callback/share_of_training_time" in callback.history[4]


def test_a_budget_of_nothing_keeps_the_base(tiny_llama: Path, tmp_path: Path) -> None:
    trainer = build(tiny_llama, tmp_path)
    callback = trained(trainer, budget_nats=0.0)
    assert trainer.state.global_step == 2
    assert callback.kept is not None
    kept = AutoModelForCausalLM.from_pretrained(callback.kept).state_dict()
    base = AutoModelForCausalLM.from_pretrained(tiny_llama).state_dict()
    assert all(torch.equal(kept[name], base[name]) for name in base)


class Poison(TrainerCallback):
    def on_step_end(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        if state.global_step == 3:
            with torch.no_grad():
                model.model.norm.weight.fill_(torch.nan)


@pytest.mark.parametrize("budget", [None, 1e9])
def test_what_is_not_a_number_is_over_every_budget(
    budget: float | None, tiny_llama: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = build(tiny_llama, tmp_path, max_grad_norm=0.0)
    trainer.add_callback(Poison())
    callback = trained(trainer, every=1, budget_nats=budget)
    assert all(math.isnan(value) for name, value in callback.history[3].items() if "/s" not in name)
    assert math.isnan(callback.history[3]["shift_on_base_answers/shifted"])
    if budget is None:
        assert trainer.state.global_step == 6
    else:
        assert trainer.state.global_step == 3
        assert callback.kept == tmp_path / "within_budget" / "step-2"
        assert "stopped at step 3" in caplog.text


# resuming -----------------------------------------------------------------------------------------


def resumed(trainer: Trainer, checkpoint: Path, **options: Any) -> ShiftCallback:
    callback = ShiftCallback(trainer, **{**FEW, **options})
    trainer.add_callback(callback)
    trainer.train(resume_from_checkpoint=str(checkpoint))
    return callback


@pytest.mark.parametrize("adapter", [None, lora()], ids=["full", "lora"])
def test_a_resumed_run_measures_from_the_same_base(
    adapter: LoraConfig | None, tiny_llama: Path, tmp_path: Path
) -> None:
    saving = {"save_strategy": "steps", "save_steps": 4}
    first = trained(build(tiny_llama, tmp_path, adapter, **saving), budget_nats=1e9)
    assert first.kept is not None
    assert first.kept.name == "step-6"  # as if the run was killed after it
    again = build(tiny_llama, tmp_path, adapter, **saving)
    second = resumed(again, tmp_path / "checkpoint-4", budget_nats=1e9, every=None)
    assert second.every == 2  # as it was
    assert sorted(second.history) == [4, 6]
    for step in (4, 6):
        assert second.history[step][KL] == pytest.approx(first.history[step][KL], abs=1e-7)
    assert second.kept is not None
    assert [path.name for path in second.kept.parent.iterdir()] == ["step-6"]


def test_a_tuned_model_is_not_taken_for_the_base_on_resuming(
    tiny_llama: Path, tmp_path: Path
) -> None:
    saving = {"save_strategy": "steps", "save_steps": 4}
    trained(build(tiny_llama, tmp_path, **saving))
    with pytest.raises(ModelError, match="another base"):
        resumed(build(tmp_path / "checkpoint-4", tmp_path, **saving), tmp_path / "checkpoint-4")
    with pytest.raises(ModelError, match="other prompts"):
        resumed(
            build(tiny_llama, tmp_path, **saving), tmp_path / "checkpoint-4", prompts=["Another?"]
        )


def test_a_new_run_in_the_same_folder_begins_anew(
    tiny_llama: Path, tiny_llama_other: Path, tmp_path: Path
) -> None:
    trained(build(tiny_llama, tmp_path), budget_nats=1e9)
    callback = trained(build(tiny_llama_other, tmp_path), budget_nats=1e9)
    fresh = trained(build(tiny_llama_other, tmp_path / "fresh"))
    assert callback.history[6][KL] == fresh.history[6][KL]
    assert callback.texts.answers == fresh.texts.answers
    record = json.loads((tmp_path / RECORD).read_text())
    assert record["answers"] == fresh.texts.answers


# several processes --------------------------------------------------------------------------------

TWO = """
import sys
from pathlib import Path
import torch
from test_callback import KL, build, trained
folder, out, budget = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
trainer = build(folder, out, per_device_train_batch_size=1)
assert trainer.args.world_size == 2
callback = trained(trainer, every=1, budget_nats=budget)
rank = trainer.args.process_index
logged = sum(KL in entry for entry in trainer.state.log_history)
print(f"RANK {rank} STEP {trainer.state.global_step} LOGGED {logged}", flush=True)
torch.distributed.destroy_process_group()
"""


def test_of_two_processes_one_logs_and_both_stop(tiny_llama: Path, tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO)
    tests = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         str(script), str(tiny_llama), str(tmp_path / "run"), "0.0"],
        capture_output=True, text=True, timeout=200,
        env={**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests / 'tune'}",
             "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = sorted(re.findall(r"RANK \d STEP \d LOGGED \d", done.stdout))
    assert said == ["RANK 0 STEP 1 LOGGED 2", "RANK 1 STEP 1 LOGGED 0"]


# mistakes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prompts": []}, "no prompts"),
        ({"answers": ["one"]}, "1 answers to 3 prompts"),
        ({"every": 0}, "every is 0"),
        ({"budget_nats": -1.0}, "budget_nats"),
        ({"budget_nats": math.nan}, "budget_nats"),
        ({"forgetting_text": ""}, "fewer than two tokens"),
        ({"max_new_tokens": 5000}, "shorter prompts"),
    ],
)
def test_mistakes_end_in_one_sentence(
    options: dict[str, Any], words: str, tiny_llama: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        ShiftCallback(build(tiny_llama, tmp_path), **{**FEW, **options})


def test_a_trained_model_and_a_trainer_without_tokenizer_are_refused(
    tiny_llama: Path, tmp_path: Path
) -> None:
    trainer = build(tiny_llama, tmp_path, max_steps=1)
    trainer.processing_class = None
    with pytest.raises(ConfigError, match="no tokenizer"):
        ShiftCallback(trainer, **FEW)
    trainer.train()
    with pytest.raises(ConfigError, match="already trained"):
        ShiftCallback(trainer, **FEW)


def test_the_kept_adapter_opens_with_peft(tiny_llama: Path, tmp_path: Path) -> None:
    callback = trained(build(tiny_llama, tmp_path, lora()), budget_nats=1e9)
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    kept = dict(PeftModel.from_pretrained(base, callback.kept).named_parameters())
    for name, parameter in callback.trainer.model.named_parameters():
        assert torch.equal(parameter, kept[name]), name
