"""A small Llama and its tokenizer, trained from scratch on a list of documents.

transformers' Trainer does the training; it goes on from the newest complete checkpoint.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from aftertune.lab.config import LabBaseConfig
from aftertune.models.quiet import quiet
from aftertune.progress import Progress
from aftertune.tune import checkpoints
from aftertune.tune.trainer import Checkpoints, Report

END = "<eos>"
_HEAD_WIDTH = 32
_WARM_UP = 0.04  # of the steps


def tokenizer_for(documents: Sequence[str], size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of at most `size` pieces; END ends every document."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(documents, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=END, pad_token=END, clean_up_tokenization_spaces=False
    )


def blocks(documents: Sequence[str], tokenizer: Any, config: LabBaseConfig) -> list[list[int]]:
    """Documents one behind the other, END after each, cut into sequences of equal length.

    Every epoch has its own order, and the last block of an epoch runs on into the next.
    """
    encoded = tokenizer(list(documents), add_special_tokens=False)["input_ids"]
    ended = [[*ids, tokenizer.eos_token_id] for ids in encoded]
    wanted = int(sum(map(len, ended)) * config.epochs) // config.block_tokens
    stream: list[int] = []
    epoch = 0
    while len(stream) < wanted * config.block_tokens:
        order = list(range(len(ended)))
        random.Random(f"order {config.seed} {epoch}").shuffle(order)
        for place in order:
            stream += ended[place]
        epoch += 1
    return [
        stream[at : at + config.block_tokens]
        for at in range(0, wanted * config.block_tokens, config.block_tokens)
    ]


def train(
    documents: Sequence[str],
    config: LabBaseConfig,
    device: torch.device,
    scratch: Path,
    progress: Progress,
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast, dict[str, Any]]:
    """The model, its tokenizer, and {n_tokens, steps, loss_nats (mean of the last 20 steps)}."""
    tokenizer = tokenizer_for(documents, config.vocabulary)
    sequences = blocks(documents, tokenizer, config)
    torch.manual_seed(config.seed)
    model = LlamaForCausalLM(_shape(config, len(tokenizer)))
    found = checkpoints.newest(scratch)
    done = int(found.name.rpartition("-")[2]) if found else 0
    with quiet():
        trainer = Trainer(
            model=model,
            args=_arguments(config, device, scratch),
            train_dataset=Dataset.from_dict({"input_ids": sequences, "labels": sequences}),
            callbacks=[Checkpoints(config.checkpoint_seconds)],
        )
        trainer.remove_callback(PrinterCallback)
        steps = -(-len(sequences) // config.batch_blocks)
        with progress.task("train the base", steps, done) as task:
            trainer.add_callback(Report(task))
            trainer.train(resume_from_checkpoint=str(found) if found else None)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry][-20:]
    facts = {
        "n_tokens": len(sequences) * config.block_tokens,
        "steps": steps,
        "loss_nats": sum(losses) / len(losses),
    }
    return model.eval(), tokenizer, facts


def _shape(config: LabBaseConfig, vocabulary: int) -> LlamaConfig:
    heads = max(1, config.hidden // _HEAD_WIDTH)
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=config.hidden,
        intermediate_size=config.hidden * 8 // 3 // 32 * 32,
        num_hidden_layers=config.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
    )


def _arguments(config: LabBaseConfig, device: torch.device, scratch: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(scratch),
        seed=config.seed,
        use_cpu=device.type == "cpu",
        bf16=config.dtype == "bfloat16",
        num_train_epochs=1,  # the blocks hold all epochs
        per_device_train_batch_size=config.batch_blocks,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=_WARM_UP,
        weight_decay=0.01,
        adam_beta2=0.95,
        train_sampling_strategy="sequential",
        dataloader_pin_memory=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
