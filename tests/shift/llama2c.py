"""llama2.c's float32 checkpoints and tokenizer as transformers folders.

A checkpoint is a header of seven int32 (dim, hidden_dim, n_layers, n_heads, n_kv_heads,
vocab_size, seq_len; a negative vocab_size means that the classifier is not shared), then float32
weights, each kind for all layers together. Its rotary embedding turns neighbouring pairs of a
head's numbers, transformers' Llama the two halves: rows of q and k are put in the other order.
"""

import struct

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HEADER = struct.Struct("<7i")


def convert(checkpoint, tokenizer_bin, folder):
    """Write the model and its tokenizer to `folder` and give it back."""
    raw = checkpoint.read_bytes()
    dim, hidden, layers, heads, kv_heads, vocab, length = HEADER.unpack_from(raw)
    numbers = np.frombuffer(raw, "<f4", offset=HEADER.size)
    size = dim // heads
    shapes = {
        "embed": (abs(vocab), dim),
        "att_norm": (layers, dim),
        "q": (layers, dim, dim),
        "k": (layers, kv_heads * size, dim),
        "v": (layers, kv_heads * size, dim),
        "o": (layers, dim, dim),
        "ffn_norm": (layers, dim),
        "gate": (layers, hidden, dim),
        "down": (layers, dim, hidden),
        "up": (layers, hidden, dim),
        "norm": (dim,),
        "rotary": (2, length, size // 2),
    }
    if vocab < 0:
        shapes["head"] = (-vocab, dim)
    weights, at = {}, 0
    for name, shape in shapes.items():
        weights[name] = torch.from_numpy(numbers[at : at + np.prod(shape)].reshape(shape).copy())
        at += int(np.prod(shape))
    assert at == len(numbers), "the file does not hold what its header says"
    config = LlamaConfig(
        vocab_size=abs(vocab), hidden_size=dim, intermediate_size=hidden, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv_heads, max_position_embeddings=length,
        rms_norm_eps=1e-5, tie_word_embeddings=vocab > 0, bos_token_id=1, eos_token_id=2,
        rope_theta=10000.0,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.load_state_dict(_state(weights, layers, heads, kv_heads), strict=False)
    model.save_pretrained(folder)
    tokenizer(tokenizer_bin, abs(vocab)).save_pretrained(folder)
    return folder


def _state(weights, layers, heads, kv_heads):
    state = {
        "model.embed_tokens.weight": weights["embed"],
        "model.norm.weight": weights["norm"],
        "lm_head.weight": weights.get("head", weights["embed"]),
    }
    names = {
        "input_layernorm": "att_norm", "self_attn.q_proj": "q", "self_attn.k_proj": "k",
        "self_attn.v_proj": "v", "self_attn.o_proj": "o", "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "gate", "mlp.down_proj": "down", "mlp.up_proj": "up",
    }  # fmt: skip
    for layer in range(layers):
        for theirs, ours in names.items():
            value = weights[ours][layer]
            if ours in ("q", "k"):
                value = _halves(value, heads if ours == "q" else kv_heads)
            state[f"model.layers.{layer}.{theirs}.weight"] = value
    return state


def _halves(weight, heads):
    """Rows of each head from pair after pair to all firsts, then all seconds."""
    rows, width = weight.shape
    return weight.view(heads, rows // heads // 2, 2, width).transpose(1, 2).reshape(rows, width)


def tokenizer(path, vocab_size):
    """tokN.bin: an int32, then per token its score, length and bytes (SentencePiece BPE)."""
    raw = path.read_bytes()
    at, pieces = 4, []
    for _ in range(vocab_size):
        score, length = struct.unpack_from("<fi", raw, at)
        at += 8
        pieces.append((raw[at : at + length].decode("utf-8").replace(" ", "▁"), score))
        at += length
    names = ["<unk>", "<s>", "</s>"] + [piece for piece, _ in pieces[3:]]
    vocab = {piece: place for place, piece in enumerate(names)}
    scores = dict(pieces[3:])
    merges = [
        (piece[:cut], piece[cut:], scores[piece])
        for piece in scores
        for cut in range(1, len(piece))
        if not piece.startswith("<0x") and piece[:cut] in scores and piece[cut:] in scores
    ]
    merges.sort(key=lambda merge: -merge[2])
    core = Tokenizer(
        models.BPE(vocab, [(a, b) for a, b, _ in merges], unk_token="<unk>", byte_fallback=True)
    )
    core.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        clean_up_tokenization_spaces=False,
    )  # fmt: skip
