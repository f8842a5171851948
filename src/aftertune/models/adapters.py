"""PEFT adapters on their base, such that the base can be had back bit for bit.

Turning an adapter off restores the base's own weights only where the adapter lies beside them.
Some adapters lie in their place: embeddings saved because the vocabulary was resized, trained
biases, or initialisations (PiSSA, OLoRA, ...) that move a part of the base's weights into the
adapter. Those weights are kept and put back while the adapter is off.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel, PeftModelForCausalLM
from safetensors import SafetensorError
from transformers import PreTrainedModel

from aftertune.errors import ModelError
from aftertune.models.precision import safetensors_header
from aftertune.models.quiet import quiet

WEIGHTS = "adapter_model.safetensors"
_NAME = "default"
_WRAPPING = re.compile(r"\.(base_layer|original_module)(?=\.)")
# These take the main part of the base's weights into the adapter and leave the rest behind.
_TAKES_FROM_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


@dataclass(frozen=True)
class Attached:
    """An adapter on its base. `replaced`: parameters that it overwrote, with the base's values."""

    model: PeftModel
    replaced: list[tuple[torch.nn.Parameter, torch.Tensor]]
    facts: dict[str, Any]

    @contextmanager
    def off(self) -> Iterator[None]:
        """Within it the model computes what the base alone computes, bit for bit."""
        adapted = [parameter.data for parameter, _ in self.replaced]
        trainable = [(parameter, parameter.requires_grad) for parameter in self.model.parameters()]
        try:
            for parameter, original in self.replaced:
                parameter.data = original
            with ExitStack() as stack:
                with quiet():  # PEFT warns of trained biases, which are put back here
                    stack.enter_context(self.model.disable_adapter())
                yield
        finally:
            for (parameter, _), data in zip(self.replaced, adapted, strict=True):
                parameter.data = data
            for parameter, was in trainable:  # PEFT makes its weights trainable on the way out
                parameter.requires_grad_(was)


def attach(base: PreTrainedModel, folder: Path, spec: str) -> Attached:
    """Put the adapter in `folder` on `base` (changed in place), its weights in the base's dtype.

    The base's embeddings are resized first when the adapter carries embeddings of another size.
    Raises ModelError when the adapter does not fit this base or is of a kind without layers of
    its own (prompt tuning).
    """
    config = _config(folder, spec)
    saved = {name: entry["shape"] for name, entry in safetensors_header(folder / WEIGHTS).items()}
    rows = _saved_rows(saved, base)
    resized = rows is not None and rows != _input_rows(base)
    kept = {name: value.detach().clone() for name, value in _at_risk(saved, base, config, resized)}
    with quiet():
        if resized:
            base.resize_token_embeddings(rows, mean_resizing=False)
        model = _attach(base, folder, config, spec)
    for name, parameter in model.named_parameters():
        if _plain_name(name) not in kept and parameter.dtype in (torch.float32, torch.float16):
            _cast_own(name, parameter, base.dtype)
    return Attached(model, _replaced(model, kept), _facts(config, saved, resized))


def _config(folder: Path, spec: str) -> PeftConfig:
    try:
        with quiet():
            config = PeftConfig.from_pretrained(folder)
    except (TypeError, ValueError, KeyError, OSError) as error:
        raise ModelError(
            f"{spec}/adapter_config.json is not one that this version of peft reads; save the "
            "adapter again, or update peft."
        ) from error
    if config.is_prompt_learning or config.is_adaption_prompt:
        raise ModelError(
            f"{spec} is a {config.peft_type} adapter, which has no weights beside the base's; "
            "only adapters on the base's layers, like LoRA and DoRA, can be compared."
        )
    config.inference_mode = True
    return config


def _attach(base: PreTrainedModel, folder: Path, config: PeftConfig, spec: str) -> PeftModel:
    try:
        model = PeftModelForCausalLM(base, config, _NAME, autocast_adapter_dtype=False)
        result = model.load_adapter(folder, _NAME, autocast_adapter_dtype=False)
    except (RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(
            f"{spec} does not fit its base {base.config.name_or_path} "
            f"({str(error).strip().splitlines()[-1].strip()[:160]}); give the right one with "
            "--base."
        ) from error
    # a resized embedding in modules_to_save is written twice by PEFT, under this name too
    surplus = [key for key in result.unexpected_keys if not key.endswith(".modules_to_save.weight")]
    if odd := [*result.missing_keys, *surplus]:
        raise ModelError(
            f"{spec} does not fit its base {base.config.name_or_path}: {len(odd)} tensors have no "
            f"counterpart, the first is {odd[0]}; give the right one with --base."
        )
    return model.eval().requires_grad_(False)


def _cast_own(name: str, parameter: torch.nn.Parameter, dtype: torch.dtype) -> None:
    """The adapter's own weights: fp32 ones over a bf16 base cost a third of the speed."""
    if re.search(rf"\.(lora_|modules_to_save\.|trainable_tokens).*|\.{_NAME}(\.|$)", name):
        parameter.data = parameter.data.to(dtype)


def _plain_name(name: str) -> str:
    """What PEFT or an adapter file calls a parameter -> what the model without PEFT calls it."""
    return _WRAPPING.sub("", name.removeprefix("base_model.model."))


def _input_rows(model: PreTrainedModel) -> int:
    return int(model.get_input_embeddings().weight.shape[0])


def _embedding_names(model: PreTrainedModel) -> list[str]:
    """Names of the modules that have one row per token id."""
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    return [name for name, module in model.named_modules(remove_duplicate=False) if module in ends]


def _saved_rows(saved: dict[str, list[int]], base: PreTrainedModel) -> int | None:
    """Embedding rows of the model that the adapter was saved from, as far as its tensors say."""
    for name in _embedding_names(base):
        for key, shape in saved.items():
            plain = _plain_name(key).replace(".modules_to_save", "")
            if plain in (f"{name}.weight", f"{name}.lora_B.weight"):
                return shape[0]
            if plain == f"{name}.lora_embedding_A":
                return shape[1]
    return None


def _at_risk(
    saved: dict[str, list[int]], base: PreTrainedModel, config: PeftConfig, resized: bool
) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """Parameters of the base that loading the adapter may overwrite."""
    own = {_plain_name(key) for key in saved}
    if resized:
        own |= {f"{name}.{part}" for name in _embedding_names(base) for part in ("weight", "bias")}
    takes = str(getattr(config, "init_lora_weights", "")).lower().startswith(_TAKES_FROM_BASE)
    for name, parameter in base.named_parameters(remove_duplicate=False):
        if takes or name in own:
            yield name, parameter


def _replaced(
    model: PeftModel, kept: dict[str, torch.Tensor]
) -> list[tuple[torch.nn.Parameter, torch.Tensor]]:
    found: dict[int, tuple[torch.nn.Parameter, torch.Tensor]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        original = kept.get(_plain_name(name))
        if original is not None and not torch.equal(parameter, original):
            found[id(parameter)] = (parameter, original)  # tied weights stand under two names
    return list(found.values())


def _facts(config: PeftConfig, saved: dict[str, list[int]], resized: bool) -> dict[str, Any]:
    targets = getattr(config, "target_modules", None)
    return {
        "type": "DORA" if getattr(config, "use_dora", False) else str(config.peft_type.value),
        "rank": getattr(config, "r", None),
        "alpha": getattr(config, "lora_alpha", None),
        "target_modules": sorted(targets) if isinstance(targets, (set, list)) else targets,
        "modules_to_save": getattr(config, "modules_to_save", None),
        "parameters": sum(torch.Size(shape).numel() for shape in saved.values()),
        "resized_vocabulary": resized,
    }
