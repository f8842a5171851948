"""The ways to get the shift's numbers that `bench/shift.py` compares, on one `Work`.

limit       two bare passes of the bodies, and both heads over the response positions: what
            cannot be saved, whatever is done with the logits
kl_rank     the plain way, for KL and base rank alone: float32 log-softmax of all positions of
            a response, and one argsort
columns     the plain way, for all columns: argsort of both models
one_by_one  one forward pass per token without a cache, at some positions of the response
ours        `aftertune.shift.pair.score`, all columns
compiled    the same with the sums over the vocabulary through torch.compile
"""

import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from aftertune.data import readers
from aftertune.models.adapters import Attached
from aftertune.models.load import Loaded, load
from aftertune.models.score import Head, hidden_states
from aftertune.shift import metrics
from aftertune.shift import pair as pairs
from aftertune.shift.common import CommonIds
from aftertune.shift.pair import SIDES, Item, Pair, Which

TOP_K = 5
ONE_BY_ONE_POSITIONS = 6
_LIMIT_CHUNKS = (64, 128, 256, 512)
_NOISE = 0.04  # of a matrix's standard deviation: mean KL about 0.07, 84% unshifted
_LORA_B = 0.02


@dataclass
class Work:
    """A pair of models, and responses of one length for them to read."""

    pair: Pair
    heads: dict[Which, Head]
    items: list[Item]
    common: CommonIds
    limit_chunk: int = 256

    @property
    def positions(self) -> int:
        return sum(len(item.response) for item in self.items)

    @property
    def tokens_read(self) -> int:
        """Of each model's body."""
        return sum(len(item.prompt) + len(item.response) for item in self.items)

    def states(self) -> dict[Which, Tensor]:
        """Final hidden states [positions, H] of both bodies, from one batch each."""
        sequences = [[*item.prompt, *item.response[:-1], 0] for item in self.items]
        starts = [len(item.prompt) for item in self.items]
        found = {}
        for which in SIDES:
            with self.pair.using(which) as model:
                found[which] = torch.cat(hidden_states(model, sequences, starts))
        return found


def prepare(what: dict[str, Any]) -> Work:
    """The models and responses that `what` asks for; the same ones for the same words."""
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    pair = _pair(what)
    heads = {}
    for which in SIDES:
        with pair.using(which) as model:
            heads[which] = Head.of(model)
    size = heads["base"].weight.shape[0]
    ids = _ids(what, pair, size)
    n_prompt, n_response = what["prompt"], what["length"]
    items = [
        Item(str(place), part[:n_prompt].tolist(), part[n_prompt:].tolist())
        for place, part in enumerate(ids.split(n_prompt + n_response)[: what["responses"]])
    ]
    common = CommonIds.of(None, size, size, heads["base"].weight.device)
    return Work(pair, heads, items, common)


def way(name: str) -> Callable[[Work], Any]:
    """What to call for a way's name."""
    ways: dict[str, Callable[[Work], Any]] = {
        "bodies": Work.states, "limit": limit, "ours": ours, "one_by_one": one_by_one,
        "kl_rank": partial(rival, one=_kl_rank), "columns": partial(rival, one=_columns),
    }  # fmt: skip
    return compiled() if name == "compiled" else ways[name]


def ours(work: Work) -> list[dict[str, Tensor]]:
    return pairs.score(work.pair, work.heads, work.items, work.common, TOP_K)


def compiled() -> Callable[[Work], list[dict[str, Tensor]]]:
    """`ours` with the sums compiled; always on whole chunks, so that there is one kernel."""
    kernel = torch.compile(metrics.chunk_sums, dynamic=False)

    def sums(base: Tensor, tuned: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        n, missing = len(base), metrics.CHUNK - len(base)
        if missing:
            base, tuned = (nn.functional.pad(x, (0, 0, 0, missing)) for x in (base, tuned))
        found, base_maxima, tuned_maxima = kernel(base, tuned)
        return found[:, :n], base_maxima[:n], tuned_maxima[:n]

    def run(work: Work) -> list[dict[str, Tensor]]:
        pairs.position_metrics = partial(metrics.position_metrics, sums=sums)
        try:
            return ours(work)
        finally:
            pairs.position_metrics = metrics.position_metrics

    return run


def limit(work: Work) -> None:
    _bare_heads(work, work.states(), work.limit_chunk)


def choose_limit_chunk(work: Work) -> None:
    """Give the limit the number of positions per product that is fastest here."""
    states = {which: found[:512] for which, found in work.states().items()}

    def seconds(chunk: int) -> float:
        start = time.process_time()
        _bare_heads(work, states, chunk)
        return time.process_time() - start

    fastest = {chunk: min(seconds(chunk) for _ in range(2)) for chunk in _LIMIT_CHUNKS}
    work.limit_chunk = min(fastest, key=lambda chunk: fastest[chunk])


def _bare_heads(work: Work, states: dict[Which, Tensor], chunk: int) -> None:
    """One product after another, thrown away; the fastest that give the dtype asked for."""
    products: Any = torch.backends.mkldnn
    for which in SIDES:
        head, found = work.heads[which], states[which]
        short = head.weight.dtype == torch.bfloat16
        weight = head.weight.float() if short else head.weight
        before = products.matmul.fp32_precision
        if short:  # factors that were bfloat16 lose nothing by it; the sums are float32
            products.matmul.fp32_precision = "bf16"
        for part in found.split(chunk):
            nn.functional.linear(part.to(weight.dtype), weight, head.bias)
        products.matmul.fp32_precision = before


def differences(ours: list[dict[str, Tensor]], columns: list[dict[str, Tensor]]) -> dict[str, Any]:
    """How far the numbers of two ways are apart."""
    pairs_of = list(zip(ours, columns, strict=True))
    kl = [(one["kl_tuned_base_nats"] - other["kl_tuned_base"]).abs() for one, other in pairs_of]
    same = [one["base_rank_of_tuned_argmax"] == other["rank_of_argmax"] for one, other in pairs_of]
    return {
        "kl_mean": float(torch.cat([one["kl_tuned_base_nats"] for one in ours]).mean()),
        "kl_largest_difference": float(torch.cat(kl).max()),
        "same_rank": float(torch.cat(same).float().mean()),
    }


def rival(work: Work, one: Callable[[Tensor, Tensor, Tensor], Any]) -> list[Any]:
    """Batched bodies, then each response's logits whole, in float32."""
    states = work.states()
    lengths = [len(item.response) for item in work.items]
    parts = zip(*(states[which].split(lengths) for which in SIDES), strict=True)
    found = []
    for item, (base, tuned) in zip(work.items, parts, strict=True):
        logits = work.heads["base"].logits(base), work.heads["tuned"].logits(tuned)
        found.append(one(*logits, torch.tensor(item.response)))
    return found


def _kl_rank(base: Tensor, tuned: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    base_log, tuned_log = base.log_softmax(-1), tuned.log_softmax(-1)
    kl = (tuned_log.exp() * (tuned_log - base_log)).sum(-1)
    return kl, _ranks(base.argsort(-1, descending=True), tuned.argmax(-1))


def _columns(base: Tensor, tuned: Tensor, ids: Tensor) -> dict[str, Tensor]:
    base_log, tuned_log = base.log_softmax(-1), tuned.log_softmax(-1)
    p, q = base_log.exp(), tuned_log.exp()
    mixture_log = ((p + q) / 2).log()
    order, tuned_order = base.argsort(-1, descending=True), tuned.argsort(-1, descending=True)
    argmax = tuned.argmax(-1)
    rank = _ranks(order, argmax)
    of_argmax = base.gather(1, argmax[:, None])
    return {
        "kl_tuned_base": (q * (tuned_log - base_log)).sum(-1),
        "kl_base_tuned": (p * (base_log - tuned_log)).sum(-1),
        "js": ((p * (base_log - mixture_log)).sum(-1) + (q * (tuned_log - mixture_log)).sum(-1))
        / 2,
        "base_entropy": -(p * base_log).sum(-1),
        "tuned_entropy": -(q * tuned_log).sum(-1),
        "base_logprob": base_log.gather(1, ids[:, None]),
        "tuned_logprob": tuned_log.gather(1, ids[:, None]),
        "base_rank": _ranks(order, ids),
        "tuned_rank": _ranks(tuned_order, ids),
        "argmax": argmax,
        "rank_of_argmax": rank,
        "ties": (base == of_argmax).sum(-1) - 1,
        "prob_of_argmax": p.gather(1, argmax[:, None]),
        "category": (rank > 1).long() + (rank > 3).long(),
        "base_top": order[:, :TOP_K],
        "base_top_probs": p.gather(1, order[:, :TOP_K]),
        "tuned_top": tuned_order[:, :TOP_K],
        "tuned_top_probs": q.gather(1, tuned_order[:, :TOP_K]),
    }


def _ranks(order: Tensor, ids: Tensor) -> Tensor:
    return (order == ids[:, None]).nonzero()[:, 1] + 1


def one_by_one(work: Work) -> list[tuple[Tensor, Tensor]]:
    """The first response's tokens, at positions spread evenly over it, each from whole passes."""
    item = work.items[0]
    step = len(item.response) / ONE_BY_ONE_POSITIONS
    found = []
    for place in range(ONE_BY_ONE_POSITIONS):
        at = int((place + 0.5) * step)
        ids = torch.tensor([[*item.prompt, *item.response[:at]]])
        logits = []
        for which in SIDES:
            with work.pair.using(which) as model:
                logits.append(model(input_ids=ids, use_cache=False).logits[:, -1].float())
        found.append(_kl_rank(*logits, ids[:, -1]))
    return found


def _pair(what: dict[str, Any]) -> Pair:
    base = _shaped(what) if what["shape"] else load(what["model"], dtype=what["dtype"])
    if what["pair"] == "lora":
        config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
        adapted = get_peft_model(base.model, config, autocast_adapter_dtype=False).eval()
        for name, parameter in adapted.named_parameters():
            if ".lora_" in name:
                parameter.data = parameter.data.to(base.dtype)
            if ".lora_B" in name:
                parameter.copy_(torch.randn_like(parameter) * _LORA_B)
        return Pair(None, replace(base, model=adapted, attached=Attached(adapted, [], {})))
    tuned = copy.deepcopy(base.model)
    for parameter in tuned.get_decoder().parameters():
        if parameter.ndim == 2:
            parameter.add_(torch.randn_like(parameter) * parameter.std() * _NOISE)
    return Pair(base, replace(base, model=tuned))


def _shaped(what: dict[str, Any]) -> Loaded:
    """A random-weight Llama of the shape asked for; what no way here looks at is left out."""
    shape = what["shape"]
    config = LlamaConfig(
        num_hidden_layers=shape["layers"],
        hidden_size=shape["hidden"],
        intermediate_size=shape.get("mlp", shape["hidden"] * 8 // 3),
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape.get("kv_heads", shape["heads"]),
        vocab_size=shape["vocab"],
        max_position_embeddings=max(2048, what["prompt"] + what["length"]),
        tie_word_embeddings=True,
        initializer_range=0.1,  # far from uniform
    )
    dtype = getattr(torch, what["dtype"])
    model = LlamaForCausalLM(config).to(dtype).eval().requires_grad_(False)
    nothing: Any = None
    return Loaded(model, nothing, nothing, nothing, torch.device("cpu"), dtype)


def _ids(what: dict[str, Any], pair: Pair, vocab: int) -> Tensor:
    """Ids of the packaged rows' text, over and over; random ones for a random-weight model."""
    n = what["responses"] * (what["prompt"] + what["length"])
    if what["shape"]:
        return torch.randint(0, vocab, (n,))
    lines = (Path(readers.__file__).parent / "pocket" / "rows.jsonl").read_text(encoding="utf-8")
    text = "\n\n".join(json.loads(line)["output"] for line in lines.splitlines())
    ids = torch.tensor(pair.tuned.tokenizer(text)["input_ids"])
    return ids.repeat(n // len(ids) + 1)[:n]
