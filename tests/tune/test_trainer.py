"""Loss and gradient against plain references, and training against the stock trainer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
from trl import SFTConfig, SFTTrainer

from aftertune.config import build
from aftertune.errors import ConfigError
from aftertune.models.score import Head
from aftertune.progress import Silent
from aftertune.tune import loss
from aftertune.tune.config import TuneConfig
from aftertune.tune.loss import Encoded, backward, collate
from aftertune.tune.trainer import train

CPU = torch.device("cpu")


def rows_of(lengths: list[int], vocabulary: int = 300, seed: int = 0) -> dict[int, Encoded]:
    """Rows of random tokens, of which the second half is trained."""
    chance = np.random.default_rng(seed)
    return {
        index: Encoded(
            ids=chance.integers(3, vocabulary, length),
            trained=np.arange(length) >= length // 2,
        )
        for index, length in enumerate(lengths)
    }


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # GPT-2 brings its own, which would make every loss another
    return model


def gradients(
    model: Any, batches: list[list[Encoded]], dtype: str = "float32"
) -> tuple[float, dict[str, Any]]:
    """Loss in nats and gradients of one step made of `batches`."""
    model.zero_grad()
    head = Head.of(model)
    normaliser = sum(row.n_trained for batch in batches for row in batch) or 1
    total = sum(
        backward(model, head, collate(batch), normaliser, getattr(torch, dtype))
        for batch in batches
    )
    return total, {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def reference(model: Any, rows: list[Encoded]) -> tuple[float, dict[str, Any]]:
    """The same in float64 from full logits of each row alone."""
    model.zero_grad()
    total = torch.zeros((), dtype=torch.float64)
    normaliser = sum(row.n_trained for row in rows)
    for row in rows:
        logits = model(input_ids=torch.from_numpy(row.ids)[None]).logits[0].double()
        logprobs = logits.log_softmax(-1)
        for position in range(1, len(row.ids)):
            if row.trained[position]:
                token = int(row.ids[position])
                total = total - row.weight * logprobs[position - 1, token] / normaliser
    total.backward()
    return total.item(), {
        n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None
    }


def assert_close(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(
            one[name].double(), other[name].double(), rtol=tolerance, atol=tolerance, msg=name
        )


@pytest.fixture(params=["tiny_llama", "tiny_gpt2", "tiny_qwen"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def test_loss_and_gradient_are_those_of_a_float64_reference(folder: Path) -> None:
    rows = list(rows_of([12, 5, 9]).values())
    model = load(folder, torch.float64)
    expected = reference(model, rows)
    found = gradients(model, [rows], "float64")
    assert found[0] == pytest.approx(expected[0], abs=1e-6)
    assert_close(found[1], expected[1], 1e-5)
    # the same model in float32
    single = gradients(load(folder), [rows])
    assert single[0] == pytest.approx(expected[0], rel=1e-5)
    assert_close(single[1], expected[1], 1e-3)


def test_micro_batches_and_chunks_do_not_change_the_gradient(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = list(rows_of([12, 5, 9, 30]).values())
    model = load(folder, torch.float64)
    whole = gradients(model, [rows], "float64")
    cut = gradients(model, [rows[3:], rows[1:3], rows[:1]], "float64")
    assert cut[0] == pytest.approx(whole[0], abs=1e-6)
    assert_close(cut[1], whole[1], 1e-6)
    monkeypatch.setattr(loss, "CHUNK_ELEMENTS", 3 * Head.of(model).weight.shape[0])
    chunked = gradients(model, [rows], "float64")
    assert chunked[0] == pytest.approx(whole[0], abs=1e-6)
    assert_close(chunked[1], whole[1], 1e-6)


def test_a_row_of_weight_0_gives_no_gradient_and_changes_nothing_else(tiny_llama: Path) -> None:
    first, second = rows_of([8, 10]).values()
    model = load(tiny_llama, torch.float64)
    masked = Encoded(second.ids, second.trained, weight=0.0)
    found = gradients(model, [[first, masked]], "float64")
    # by hand: the first row's own mean loss and gradient, its share of the trained tokens
    share = first.n_trained / (first.n_trained + second.n_trained)
    alone = gradients(model, [[first]], "float64")
    assert found[0] == pytest.approx(alone[0] * share, abs=1e-6)
    assert_close(found[1], {name: g * share for name, g in alone[1].items()}, 1e-6)
    nothing = gradients(model, [[masked]], "float64")
    assert nothing[0] == 0
    assert all((gradient == 0).all() for gradient in nothing[1].values())


def test_prompt_and_padding_tokens_are_never_targets(tiny_llama: Path) -> None:
    model = load(tiny_llama, torch.float64)
    row = Encoded(np.array([5, 6, 7, 8]), np.array([False, False, False, True]))
    longer = rows_of([9])[0]
    batch = collate([row, longer])
    assert batch.input_ids.shape == (2, 9)
    assert batch.targets.tolist()[:1] == [8]
    assert batch.positions.tolist()[:1] == [2]
    assert (batch.input_ids[0, 4:] == 0).all()
    # a head of its own: only the trained token's state reaches it, so changing the target of a
    # prompt position cannot be felt, and padding has no gradient at its embedding
    untied = gradients(model, [[row, longer]], "float64")[1]["model.embed_tokens.weight"]
    assert (untied[0] == 0).all(), "the id that pads got a gradient"
    nothing = Encoded(row.ids, np.zeros(4, dtype=bool))
    untrained = gradients(model, [[nothing]], "float64")
    assert untrained[0] == 0
    assert all((gradient == 0).all() for gradient in untrained[1].values())


def test_the_first_token_has_nothing_that_predicts_it() -> None:
    row = Encoded(np.array([5, 6]), np.array([True, True]))
    assert row.n_trained == 1
    assert collate([row]).targets.tolist() == [6]


def test_rows_do_not_attend_to_each_other(folder: Path) -> None:
    model = load(folder, torch.float64)
    row, other, third = rows_of([11, 7, 11], seed=3).values()
    masked = [Encoded(r.ids, r.trained, weight=0.0) for r in (other, third)]
    beside_one = gradients(model, [[row, masked[0]]], "float64")
    share = (row.n_trained + third.n_trained) / (row.n_trained + other.n_trained)
    beside_other = gradients(model, [[row, masked[1]]], "float64")
    assert beside_one[0] == pytest.approx(beside_other[0] * share, abs=1e-6)
    assert_close(beside_one[1], {n: g * share for n, g in beside_other[1].items()}, 1e-6)


def test_bfloat16_is_near_float32(tiny_llama: Path) -> None:
    rows = list(rows_of([12, 5, 9]).values())
    model = load(tiny_llama)
    exact, _ = gradients(model, [rows])
    low, grads = gradients(model, [rows], "bfloat16")
    assert low == pytest.approx(exact, rel=2e-2)
    assert low != exact
    assert {gradient.dtype for gradient in grads.values()} == {torch.float32}


def config_of(**options: Any) -> TuneConfig:
    given = {"base": "tiny", "method": "full", "dtype": "float32", "learning_rate": 1e-3,
             "schedule": "linear", **options}  # fmt: skip
    return build(TuneConfig, given)


def run(
    folder: Path, out: Path, rows: dict[int, Encoded], steps: Any, **options: Any
) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    """Losses and weights after training."""
    out.mkdir(exist_ok=True)
    model, tokenizer = load(folder), AutoTokenizer.from_pretrained(folder)
    config = config_of(**options)
    if config.method == "lora":
        torch.manual_seed(0)
        model = get_peft_model(
            model, LoraConfig(r=4, target_modules="all-linear", lora_dropout=config.lora_dropout)
        )
    records = train(model, tokenizer, rows, steps, config, CPU, out, Silent())
    return records, {n: p.detach().clone() for n, p in model.named_parameters()}


@pytest.mark.parametrize("method", ["full", "lora"])
def test_loss_and_gradient_norm_equal_the_stock_trainers(
    folder: Path, tmp_path: Path, method: str
) -> None:
    rows = rows_of([14, 5, 9, 11])
    ours, _ = run(folder, tmp_path / "ours", rows, [[[0, 3], [2, 1]]], method=method)

    arguments = SFTConfig(
        output_dir=str(tmp_path / "stock"), use_cpu=True, bf16=False, max_steps=1,
        per_device_train_batch_size=4, learning_rate=1e-3, logging_steps=1, report_to="none",
        activation_checkpointing=False, save_strategy="no", disable_tqdm=True, seed=0,
    )  # fmt: skip
    columns = {
        "input_ids": [row.ids.tolist() for row in rows.values()],
        "labels": [np.where(row.trained, row.ids, -100).tolist() for row in rows.values()],
    }
    model = load(folder)
    if method == "lora":
        torch.manual_seed(0)
        model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
    with without_telemetry():
        stock = SFTTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_dict(columns),
            processing_class=AutoTokenizer.from_pretrained(folder),
        )  # fmt: skip
    stock.remove_callback(PrinterCallback)
    stock.train()
    expected = stock.state.log_history[0]
    assert ours[0]["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert ours[0]["grad_norm"] == pytest.approx(expected["grad_norm"], rel=1e-4)
    assert ours[0]["learning_rate"] == expected["learning_rate"] == 1e-3


@contextmanager
def without_telemetry() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setattr(SFTTrainer, "_send_telemetry", lambda self: None)
    try:
        yield
    finally:
        patch.undo()


def test_the_normaliser_counts_masked_rows_too(tiny_llama: Path, tmp_path: Path) -> None:
    rows = rows_of([14, 5, 9])
    (alone,), _ = run(tiny_llama, tmp_path / "a", rows, [[[0], [1]]])
    masked = {**rows, 2: Encoded(rows[2].ids, rows[2].trained, weight=0.0)}
    (found,), _ = run(tiny_llama, tmp_path / "b", masked, [[[0, 2], [1]]])
    # 7 + 3 trained tokens beside the masked row's 5
    share = 10 / 15
    assert found["loss"] == pytest.approx(alone["loss"] * share, rel=1e-5)
    assert found["grad_norm"] == pytest.approx(alone["grad_norm"] * share, rel=1e-4)


STEPS = [[[0, 1], [2]], [[3], [4, 5]], [[5, 0], [1]], [[2, 3], [4]], [[0], [1, 2]], [[3, 4, 5]]]


@pytest.mark.parametrize(
    "options",
    [
        {"method": "full"},
        {"method": "lora", "neftune_alpha": 5.0, "lora_dropout": 0.1},
        {
            "method": "full",
            "neftune_alpha": 5.0,
            "gradient_checkpointing": True,
            "dtype": "bfloat16",
        },
    ],
)
def test_when_checkpoints_are_written_and_gone_on_from_changes_no_bit(
    tiny_llama: Path, tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of([14, 5, 9, 11, 20, 8])
    undisturbed = run(tiny_llama, tmp_path / "a", rows, STEPS, **options)
    assert len(undisturbed[0]) == len(STEPS)
    assert not list((tmp_path / "a").glob("checkpoint-*"))
    often = run(tiny_llama, tmp_path / "b", rows, STEPS, checkpoint_seconds=0, **options)
    assert [path.name for path in (tmp_path / "b").glob("checkpoint-*")] == ["checkpoint-5"]
    again = run(tiny_llama, tmp_path / "b", rows, STEPS, checkpoint_seconds=0, **options)

    killed_in = tmp_path / "c"
    steps_seen = []

    def killed(*args: Any) -> float:
        steps_seen.append(1)
        if len(steps_seen) == 7:
            raise KeyboardInterrupt
        return backward(*args)

    monkeypatch.setattr("aftertune.tune.trainer.backward", killed)
    with pytest.raises(KeyboardInterrupt):
        run(tiny_llama, killed_in, rows, STEPS, checkpoint_seconds=0, **options)
    monkeypatch.undo()
    # the next checkpoint was being written: no marker yet
    torn = killed_in / "checkpoint-9"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    resumed = run(tiny_llama, killed_in, rows, STEPS, **options)
    for other in (often, again, resumed):
        assert other[0] == undisturbed[0]
        for name, tensor in undisturbed[1].items():
            assert torch.equal(other[1][name], tensor), name


def test_noise_and_seed_do_something(tiny_llama: Path, tmp_path: Path) -> None:
    rows = rows_of([14, 5, 9, 11, 20, 8])
    plain, _ = run(tiny_llama, tmp_path / "a", rows, STEPS[:2])
    noisy, _ = run(tiny_llama, tmp_path / "b", rows, STEPS[:2], neftune_alpha=20.0)
    other, _ = run(tiny_llama, tmp_path / "c", rows, STEPS[:2], neftune_alpha=20.0, seed=1)
    assert len({plain[0]["loss"], noisy[0]["loss"], other[0]["loss"]}) == 3


def test_a_loss_that_is_no_number_stops_the_run(tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lower learning_rate"):
        run(tiny_llama, tmp_path, rows_of([14, 5, 9, 11, 20, 8]), STEPS * 3, learning_rate=1e30,
            max_grad_norm=0)  # fmt: skip


def test_schedules_end_where_they_say(tiny_llama: Path, tmp_path: Path) -> None:
    rows = rows_of([14, 5, 9, 11, 20, 8])
    rates = {}
    for schedule, warmup in (("cosine", 0.0), ("linear", 0.5), ("constant", 0.0)):
        records, _ = run(tiny_llama, tmp_path / schedule, rows, STEPS, schedule=schedule,
                         warmup_ratio=warmup)  # fmt: skip
        rates[schedule] = [record["learning_rate"] for record in records]
    # of 6 steps: half-way down a cosine is half the rate; linear warm-up over 3, then down over 3
    assert rates["cosine"][0] == 1e-3
    assert rates["cosine"][3] == pytest.approx(5e-4)
    assert rates["linear"] == pytest.approx([0, 1e-3 / 3, 2e-3 / 3, 1e-3, 2e-3 / 3, 1e-3 / 3])
    assert rates["constant"] == [1e-3] * 6
