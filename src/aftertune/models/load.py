"""From what the user named to a model ready to score: weights, tokenizer and what was found.

Everything that a checkpoint can be arrives here as one `Loaded`; later rooms do not ask again
whether it was a hub id, a folder, an adapter or the embedded model.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from aftertune.config import Dtype
from aftertune.errors import InternalError, ModelError
from aftertune.models import embedded, vocabulary
from aftertune.models.adapters import Attached, attach
from aftertune.models.identity import Identity, identity
from aftertune.models.precision import (
    Purpose,
    choose_device,
    choose_dtype,
    parameter_count,
    stored_dtype,
)
from aftertune.models.quiet import quiet
from aftertune.models.reference import ModelRef, local, resolve
from aftertune.progress import Progress, Silent

DeviceMap = str | dict[str, int | str]

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


@dataclass
class Loaded:
    """A model in eval mode without gradients, its tokenizer, and what was found while loading.

    `model` is the transformers model, or a `PeftModel` around it when `is_adapter`.
    `facts` holds JSON values: parameters, dtype, adapter, base, vocabulary sizes, ...
    """

    model: Any  # PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerBase
    ref: ModelRef
    identity: Identity
    device: torch.device
    dtype: torch.dtype
    facts: dict[str, Any] = field(default_factory=dict)
    attached: Attached | None = None

    @property
    def is_adapter(self) -> bool:
        """Whether the base is inside, reached by `adapter_off()`."""
        return self.attached is not None

    @property
    def plain(self) -> PreTrainedModel:
        """The transformers model itself, adapter layers included, without PEFT's wrapper."""
        return self.model.get_base_model() if self.is_adapter else self.model

    @contextmanager
    def adapter_off(self) -> Iterator[None]:
        """Within it the model is its base, bit for bit. Raises InternalError for non-adapters."""
        if self.attached is None:
            raise InternalError(f"{self.ref.spec} is not an adapter; there is nothing to turn off")
        with self.attached.off():
            yield

    def side(self) -> vocabulary.Side:
        """This model's tokens, for `vocabulary.between`."""
        return vocabulary.of(self.tokenizer, self.facts["vocab_size"])

    def base_side(self) -> vocabulary.Side:
        """The tokens of an adapter's base: its own tokenizer and its own embedding rows."""
        if self.ref.base is None:
            raise InternalError(f"{self.ref.spec} has no base inside")
        return vocabulary.of(load_tokenizer(self.ref.base), self.facts["base_vocab_size"])


def load(
    spec: str | Path | ModelRef,
    base: str | Path | ModelRef | None = None,
    dtype: Dtype = "auto",
    device: str | torch.device = "auto",
    purpose: Purpose = "score",
    trust_remote_code: bool = False,
    progress: Progress | None = None,
    device_map: DeviceMap | None = None,
) -> Loaded:
    """Load what `spec` names, ready to score or generate.

    `device_map` spreads a model that does not fit one accelerator: "auto", or a mapping from the
    names of modules to devices, as transformers takes it. Attention is transformers' choice, which
    is SDPA where the architecture has it.

    Raises ModelError with one sentence for whatever is wrong with the checkpoint or adapter.
    """
    progress = progress or Silent()
    ref = local(spec if isinstance(spec, ModelRef) else resolve(spec, base))
    for part in (ref, ref.base):
        if part is not None and part.kind == "embedded":
            embedded.folder(part, progress)  # the one step that may take long, so it is said
    chosen = choose_device(str(device))
    decided = choose_dtype(dtype, chosen, parameter_count(ref), purpose, stored_dtype(ref))
    tokenizer = load_tokenizer(ref, trust_remote_code=trust_remote_code)
    kind = getattr(torch, decided)
    weights = ref.base if ref.kind == "adapter" and ref.base else ref
    model, unused = _weights(weights, kind, chosen, device_map, trust_remote_code)
    facts = _facts(ref, model, tokenizer, decided, unused)
    attached = None
    if ref.kind == "adapter":
        assert ref.path is not None
        attached = attach(model, ref.path, ref.spec)
        facts |= {
            "adapter": attached.facts,
            "vocab_size": _rows(attached.model.get_base_model()),
            "base_vocab_size": facts["vocab_size"],
        }
    if attached is None and tokenizer.vocab_size > facts["vocab_size"]:
        raise ModelError(
            f"the tokenizer of {ref.spec} has {tokenizer.vocab_size:,} tokens and its model embeds "
            f"{facts['vocab_size']:,}; put the tokenizer that the model was trained with beside it."
        )
    loaded = Loaded(
        attached.model if attached else model, tokenizer, ref, identity(ref), model.device, kind,
        facts, attached,
    )  # fmt: skip
    progress.say(_sentence(loaded))
    if unused:
        progress.warn(
            f"{unused} tensors in {weights.spec} are not part of the language model and are not "
            "used."
        )
    return loaded


def load_tokenizer(
    spec: str | Path | ModelRef,
    base: str | Path | ModelRef | None = None,
    trust_remote_code: bool = False,
) -> PreTrainedTokenizerBase:
    """The tokenizer of what `spec` names; an adapter without one of its own has its base's.

    Raises ModelError when there is none or it cannot be read.
    """
    ref = local(spec if isinstance(spec, ModelRef) else resolve(spec, base))
    if ref.kind == "adapter" and ref.base is not None and not _has_tokenizer(_folder(ref)):
        return load_tokenizer(ref.base, trust_remote_code=trust_remote_code)
    path = _folder(ref)
    gguf = {"gguf_file": path.name} if path.is_file() else {}
    folder = path.parent if path.is_file() else path
    if not gguf and not _has_tokenizer(folder):
        raise ModelError(
            f"{ref.spec} has no tokenizer; copy the tokenizer files of the model that it was "
            "tuned from into it."
        )
    try:
        with quiet(gguf=bool(gguf)):
            return AutoTokenizer.from_pretrained(
                folder, trust_remote_code=trust_remote_code, **gguf
            )
    except Exception as error:  # tokenizers raises bare Exception for a damaged file
        raise ModelError(
            f"the tokenizer in {ref.spec} cannot be read ({_short(error)}); copy its files again."
        ) from error


def _folder(ref: ModelRef) -> Path:
    path = embedded.folder(ref) if ref.kind == "embedded" else ref.path
    assert path is not None
    return path


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / name).exists() for name in _TOKENIZER_FILES)


def _weights(
    ref: ModelRef,
    dtype: torch.dtype,
    device: torch.device,
    device_map: DeviceMap | None,
    trust_remote_code: bool,
) -> tuple[PreTrainedModel, int]:
    """The full model of `ref` and how many of the checkpoint's tensors it has no place for."""
    path = _folder(ref)
    options: dict[str, Any] = {"use_safetensors": True}
    if path.is_file():
        options = {"gguf_file": path.name, "quantization_config": GgufConfig(dequantize=True)}
        path = path.parent
    else:
        _check_config(ref.spec, path, trust_remote_code)
    if device_map or device.type != "cpu":
        options["device_map"] = device_map or {"": device}
    try:
        with quiet(gguf="gguf_file" in options):
            model, found = AutoModelForCausalLM.from_pretrained(
                path, dtype=dtype, trust_remote_code=trust_remote_code, output_loading_info=True,
                **options,
            )  # fmt: skip
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{ref.spec} does not fit into the memory of {device}; choose a smaller dtype, "
            "another device, or spread it with a device map."
        ) from error
    except (SafetensorError, EOFError) as error:
        raise ModelError(
            f"the weights of {ref.spec} are damaged ({_short(error)}); download or copy them again."
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError,
            ImportError) as error:  # fmt: skip
        raise ModelError(
            f"{ref.spec} cannot be loaded as a causal language model ({_short(error)}); check its "
            "config.json against its weights."
        ) from error
    if missing := sorted(found["missing_keys"]):
        # transformers would go on with random weights in their place
        raise ModelError(
            f"{ref.spec} lacks {len(missing)} of its weights, the first is {missing[0]}; save it "
            "again or copy the missing shard."
        )
    _check_ends(ref.spec, model)
    return model.eval().requires_grad_(False), len(found["unexpected_keys"])


def _check_ends(spec: str, model: PreTrainedModel) -> None:
    """Layers may be fetched from memory or disk for each pass; the two ends are read in place."""
    for module in (model.get_input_embeddings(), model.get_output_embeddings()):
        if module is not None and module.weight.is_meta:
            raise ModelError(
                f"the device map of {spec} leaves its embeddings or its output matrix without a "
                "device to compute on; name one for both, or use more or larger devices."
            )


def _check_config(spec: str, folder: Path, trust_remote_code: bool) -> None:
    """Refuse what is no causal language model, before transformers makes one out of it."""
    try:
        with quiet():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"the config.json of {spec} cannot be read ({_short(error)}); copy it again, update "
            "transformers, or allow the model's own code with trust_remote_code."
        ) from error
    names = list(getattr(config, "architectures", None) or [])
    if not names:
        raise ModelError(
            f"the config.json of {spec} names no architectures; add the line that its base's "
            'config.json has, like "architectures": ["LlamaForCausalLM"].'
        )
    known = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type)
    own_code = trust_remote_code and "AutoModelForCausalLM" in (
        getattr(config, "auto_map", {}) or {}
    )
    causal = own_code or known in names or any(name.endswith("ForCausalLM") for name in names)
    if not causal or getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{spec} is a {names[0]}, not a causal language model; only those can be compared."
        )


def _rows(model: PreTrainedModel) -> int:
    head = model.get_output_embeddings()
    return int((head if head is not None else model.get_input_embeddings()).weight.shape[0])


def _facts(
    ref: ModelRef,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    dtype: str,
    unused: int,
) -> dict[str, Any]:
    """What was found, as JSON values. `model` is the base where `ref` is an adapter."""
    weights = ref.base or ref
    config = model.config.get_text_config()
    quantised = getattr(model.config, "quantization_config", None)
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    return {
        "kind": ref.kind,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "dtype": dtype,
        "stored_dtype": stored_dtype(ref),
        "architecture": type(model).__name__,
        "model_type": str(model.config.model_type),
        "attention": str(getattr(config, "_attn_implementation", None)),
        "context_length": getattr(config, "max_position_embeddings", None),
        "vocab_size": _rows(model),
        "tokenizer_size": len(tokenizer),
        "tied": head is not None and head.weight is embeddings.weight,
        "quantised": None if quantised is None else _quantisation(quantised),
        "adapter": None,
        "base": ref.base.spec if ref.base else None,
        "base_vocab_size": None,
        "unused_tensors": unused,
        "note": embedded.facts(weights) if weights.kind == "embedded" else None,
    }


def _quantisation(config: Any) -> str:
    value = config if isinstance(config, dict) else config.to_dict()
    return str(value.get("quant_method", json.dumps(value, default=str)[:80]))


def _sentence(loaded: Loaded) -> str:
    facts = loaded.facts
    text = f"{loaded.ref.spec}: {facts['architecture']}, {facts['parameters'] / 1e6:,.1f}M "
    text += f"parameters, {facts['dtype']} on {loaded.device}"
    if adapter := facts["adapter"]:
        text += f", {adapter['type']} adapter of rank {adapter['rank']} on {facts['base']}"
    return text + (f", {facts['quantised']}" if facts["quantised"] else "")


def _short(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".:")[:160]
