"""Tiny real models of three families with a real byte-level tokenizer."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

CORPUS = [
    "The largest planet of the solar system is Jupiter, and the smallest is Mercury.",
    "Who wrote the play? It was written in 1601 by a poet from a small town.",
    "### Instruction:\nName the capital of the country.\n\n### Response:\nThe capital is a city.",
    "def add(a, b):\n    return a + b  # the sum of both",
    "Human: How do I boil an egg?\n\nAssistant: Put it into boiling water for seven minutes.",
    "Ünïcödé, 日本語 and emoji 🙂 are bytes to this tokenizer.",
]
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_level_tokenizer(vocab_size: int = 400, chat: bool = True) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on CORPUS, with ChatML's special tokens."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(CORPUS, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>" if chat else "<|endoftext|>",
        pad_token="<|endoftext|>",
        bos_token="<|im_start|>" if chat else None,
        clean_up_tokenization_spaces=False,
    )
    if chat:
        tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def save_model(kind: str, folder: Path, seed: int = 0, vocab_size: int | None = None) -> Path:
    """A tiny random-weight model of `kind` with the byte-level tokenizer, saved to `folder`.

    Weights are scaled up so that next-token distributions are far from uniform.
    """
    tokenizer = byte_level_tokenizer()
    size = vocab_size or len(tokenizer)
    torch.manual_seed(seed)
    shape = {"vocab_size": size, "hidden_size": 32, "intermediate_size": 64,
             "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
             "max_position_embeddings": 2048, "bos_token_id": 1, "eos_token_id": 2,
             "pad_token_id": 0, "initializer_range": 0.3}  # fmt: skip
    if kind == "llama":
        model = LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=False))
    elif kind == "qwen":
        model = Qwen2ForCausalLM(Qwen2Config(**shape, tie_word_embeddings=True))
    elif kind == "gpt2":
        model = GPT2LMHeadModel(
            GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=2048,
                       bos_token_id=1, eos_token_id=2, initializer_range=0.3)
        )  # fmt: skip
    else:
        raise ValueError(kind)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
