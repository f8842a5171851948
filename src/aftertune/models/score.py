"""Teacher-forced scoring in two halves: hidden states of the body, and the head that turns them
into logits.

Apart, they let a caller compute logits for a few positions at a time, so that memory does not
grow with response length times vocabulary, and let two models' heads run in one kind of pass.
A head is more than a matrix: bias, scaling and soft-cap differ between architectures, so
`Head.verify` compares with the model's own forward pass and refuses what it does not know.

Shapes: N positions, H hidden size, V vocabulary rows, R positions scored of one sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from aftertune.errors import InternalError, ModelError
from aftertune.models.output import output_matrix, width

# Rows of the head that are upcast at a time: 8192 x 4096 in float32 is 134 MB.
_BLOCK = 8192
# How far the head may be from the model's own logits, relative to their largest: rounding of the
# model's dtype, which a missing scale, bias or soft-cap is well above.
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9, torch.float16: 2**-9, torch.bfloat16: 2**-6}
# Model types whose config says `logits_scaling` and means a factor; elsewhere it divides.
_SCALING_MULTIPLIES = ("hyperclovax",)


@dataclass(frozen=True, eq=False)
class Head:
    """logits = cap(scale * (hidden @ weight.T + bias)), cap(x) = soft_cap * tanh(x / soft_cap).

    weight [V, H] shares the model's storage, except where an adapter changes it (then it is the
    merged float32 matrix). With `upcast`, products are taken in float32 whatever the dtype: a
    float32 model is used as it is, a bfloat16 one is upcast in blocks of 8,192 rows, so that the
    extra memory is one block and never the whole head. Without `upcast`, products are taken in
    the weight's dtype and rounded to it, as the model itself does; faster, with more ties.
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    soft_cap: float | None = None
    upcast: bool = True

    @classmethod
    def of(cls, model: Any, upcast: bool = True) -> "Head":
        """The head that `model` has right now: inside `adapter_off()` it is the base's.

        A model in training gives its own trainable parameters, so gradients reach them; the
        weights of any other are held as they are now. Raises ModelError for a model without an
        output matrix.
        """
        plain = _plain(model)
        module = plain.get_output_embeddings()
        if module is None:
            raise ModelError(
                f"{type(plain).__name__} has no output matrix over the vocabulary; only causal "
                "language models can be scored."
            )
        weight, bias = output_matrix(module)
        return cls(weight, bias, _scale(plain), _soft_cap(plain), upcast)

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden [N, H] -> logits [N, V], float32 (float64 for a float64 head)."""
        hidden = hidden.to(self.weight.device)
        wide = torch.promote_types(self.weight.dtype, torch.float32)
        if not self.upcast:
            logits = nn.functional.linear(hidden.to(self.weight.dtype), self.weight, self.bias)
            logits = logits.to(wide)
        elif self.weight.dtype == wide or self._learns(hidden):
            bias = None if self.bias is None else self.bias.to(wide)
            logits = nn.functional.linear(hidden.to(wide), self.weight.to(wide), bias)
        else:
            logits = self._blocked(hidden.to(wide))
        if logits.requires_grad:
            return self._bent(logits)
        return self._bent_in_place(logits)

    def verify(self, model: Any) -> None:
        """Prove on a small padded batch that this head and the body's states give the model's
        own logits; raises ModelError naming the architecture when they do not."""
        plain = _plain(model)
        size = plain.get_input_embeddings().weight.shape[0]
        sequences = [[(7 * i + 3) % size for i in range(length)] for length in (9, 6)]
        ids, mask = _padded(sequences, 0, _input_device(plain))
        with torch.no_grad():
            expected = plain(input_ids=ids, attention_mask=mask, use_cache=False).logits
            states = hidden_states(plain, sequences, [1, 1])
            found = [self.logits(state) for state in states]
        for row, got in enumerate(found):
            want = expected[row, : len(got)].to(got)
            if got.shape == want.shape:
                allowed = _TOLERANCE.get(expected.dtype, 2**-6) * max(1.0, float(want.abs().max()))
                if float((got - want).abs().max()) <= allowed:
                    continue
            raise ModelError(
                f"aftertune does not know how {type(plain).__name__} turns hidden states into "
                "logits, so it will not score it; please report this architecture."
            )

    def _learns(self, hidden: Tensor) -> bool:
        return hidden.requires_grad or self.weight.requires_grad

    def _blocked(self, hidden: Tensor) -> Tensor:
        rows = self.weight.shape[0]
        logits = torch.empty(len(hidden), rows, dtype=hidden.dtype, device=hidden.device)
        for start in range(0, rows, _BLOCK):
            block = self.weight[start : start + _BLOCK].to(hidden.dtype)
            logits[:, start : start + _BLOCK] = hidden @ block.T
        return logits if self.bias is None else logits.add_(self.bias)

    def _bent(self, logits: Tensor) -> Tensor:
        logits = logits if self.scale == 1.0 else logits * self.scale
        return logits if self.soft_cap is None else _cap(logits, self.soft_cap)

    def _bent_in_place(self, logits: Tensor) -> Tensor:
        if self.scale != 1.0:
            logits = logits.mul_(self.scale)
        if self.soft_cap is not None:
            logits = logits.div_(self.soft_cap).tanh_().mul_(self.soft_cap)
        return logits


def hidden_states(
    model: Any, sequences: Sequence[Sequence[int]], starts: Sequence[int], pad_id: int = 0
) -> list[Tensor]:
    """The states that predict tokens `starts[i]`.. of each sequence, from one padded batch.

    Padding stands on the right and is masked, so any id may pad. Returns one tensor [R_i, H] per
    sequence, R_i = len - start, in the model's dtype, after the final norm; views of the batch.

    Raises InternalError for a start below 1 (nothing predicts the first token) or past the end,
    and for a sequence longer than the model's context.
    """
    if not sequences:
        return []
    plain = _plain(model)
    _check(plain, sequences, starts)
    ids, mask = _padded(sequences, pad_id, _input_device(plain))
    with torch.no_grad():
        states = _body(plain)(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    pairs = enumerate(zip(sequences, starts, strict=True))
    return [states[row, start - 1 : len(ids) - 1] for row, (ids, start) in pairs]


def hidden_states_cached(
    model: Any, sequences: Sequence[Sequence[int]], starts: Sequence[int]
) -> list[Tensor]:
    """The same states as `hidden_states`, computed as generation does: the prompt
    (`sequence[:start]`) in one pass, then token after token with a key-value cache, one sequence
    at a time. For the noise floor; slow.

    Raises ModelError when the architecture keeps no key-value cache.
    """
    plain = _plain(model)
    _check(plain, sequences, starts)
    body, device = _body(plain), _input_device(plain)
    results = []
    for sequence, start in zip(sequences, starts, strict=True):
        ids = torch.tensor([list(sequence)], device=device)
        pieces = [ids[:, :start], *(ids[:, i : i + 1] for i in range(start, len(sequence) - 1))]
        cache, states = None, []
        with torch.no_grad():
            for piece in pieces if start < len(sequence) else []:
                output = body(input_ids=piece, past_key_values=cache, use_cache=True)
                cache = getattr(output, "past_key_values", None)
                if cache is None:
                    raise ModelError(
                        f"{type(plain).__name__} keeps no key-value cache, so cached and uncached "
                        "passes cannot be compared; leave that part of the noise floor out."
                    )
                states.append(output.last_hidden_state[0, -1:])
        results.append(torch.cat(states) if states else _none(plain))
    return results


def _plain(model: Any) -> PreTrainedModel:
    return model.get_base_model() if isinstance(model, PeftModel) else model


def _body(plain: PreTrainedModel) -> nn.Module:
    """The model without its head; its last hidden state is what the head is applied to."""
    body = plain.get_decoder()
    if body is plain:
        raise ModelError(
            f"the body of {type(plain).__name__} cannot be had apart from its head, so it cannot "
            "be scored; please report this architecture."
        )
    return body


def _input_device(plain: PreTrainedModel) -> torch.device:
    return plain.get_input_embeddings().weight.device


def _none(plain: PreTrainedModel) -> Tensor:
    module = plain.get_output_embeddings()
    return torch.empty(0, width(module), dtype=plain.dtype, device=_input_device(plain))


def _padded(
    sequences: Sequence[Sequence[int]], pad_id: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """ids [B, T] and attention mask [B, T], padded on the right."""
    width = max(len(sequence) for sequence in sequences)
    ids = torch.full((len(sequences), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(sequences), width), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(list(sequence), dtype=torch.long)
        mask[row, : len(sequence)] = 1
    return ids.to(device), mask.to(device)


def _check(
    plain: PreTrainedModel, sequences: Sequence[Sequence[int]], starts: Sequence[int]
) -> None:
    context = getattr(plain.config.get_text_config(), "max_position_embeddings", None)
    for sequence, start in zip(sequences, starts, strict=True):
        if not 1 <= start <= len(sequence):
            raise InternalError(f"start {start} in a sequence of {len(sequence)} tokens")
        if context is not None and len(sequence) > context:
            raise InternalError(f"{len(sequence)} tokens do not fit a context of {context}")


def _cap(logits: Tensor, soft_cap: float) -> Tensor:
    return torch.tanh(logits / soft_cap) * soft_cap


def _scale(plain: PreTrainedModel) -> float:
    """The factor between head and logits: Cohere, Granite and MiniCPM, Falcon-H1, Muse."""
    config = plain.config.get_text_config()
    if (factor := getattr(config, "logit_scale", None)) is not None:
        return float(factor)
    if (scaling := getattr(config, "logits_scaling", None)) is not None:
        multiplies = config.model_type.startswith(_SCALING_MULTIPLIES)
        return float(scaling) if multiplies else 1.0 / float(scaling)
    for name in ("lm_head_multiplier", "output_multiplier"):
        if (factor := getattr(config, name, None)) is not None:
            return float(factor)
    return 1.0


def _soft_cap(plain: PreTrainedModel) -> float | None:
    """Gemma 2 and later, nanochat; RecurrentGemma calls it by another name."""
    config = plain.config.get_text_config()
    for name in ("final_logit_softcapping", "logits_soft_cap"):
        if (cap := getattr(config, name, None)) is not None:
            return float(cap)
    return None
