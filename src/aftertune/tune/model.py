"""The model that is trained: the base in float32, LoRA put on, and what is saved in the end."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from aftertune.errors import ConfigError, ModelError
from aftertune.models import embedded
from aftertune.models.load import load
from aftertune.models.precision import parameter_count, stored_dtype
from aftertune.models.quiet import quiet
from aftertune.models.reference import ModelRef
from aftertune.progress import Progress
from aftertune.tune.checkpoints import sync_folder
from aftertune.tune.config import TuneConfig

# Rounding to 16 bits would drown a small shift; above this many parameters disks matter more.
SAVED_IN_FLOAT32_BELOW = 1_000_000_000


def check_hardware(config: TuneConfig, device: torch.device) -> None:
    """Raises ConfigError for a device that transformers' trainer would not use, ModelError when a
    4-bit base is asked for where it cannot be had."""
    if device.index:
        raise ConfigError(
            f"tuning runs on the first CUDA device, not on {device}; set CUDA_VISIBLE_DEVICES to "
            "choose another."
        )
    if not config.quantize:
        return
    if device.type != "cuda" or importlib.util.find_spec("bitsandbytes") is None:
        raise ModelError(
            "a 4-bit base needs a CUDA device and the package bitsandbytes; install it there, or "
            "leave quantize out."
        )


def save_dtype(config: TuneConfig, ref: ModelRef) -> str:
    """The dtype that a fully tuned checkpoint is saved in: "float32", "bfloat16" or "float16".

    "auto" keeps the float32 of training for models under SAVED_IN_FLOAT32_BELOW parameters and
    takes the base checkpoint's own dtype above. Adapters are always float32.
    """
    small = parameter_count(ref) < SAVED_IN_FLOAT32_BELOW
    if config.save_dtype == "float32" or (config.save_dtype == "auto" and small):
        return "float32"
    return stored_dtype(ref) or "float32"


def build(config: TuneConfig, ref: ModelRef, device: torch.device, progress: Progress) -> Any:
    """The model with exactly the parameters to train requiring gradients; plain or PEFT.

    Adapter weights follow from `config.seed`. Raises ConfigError when `target_modules` fit
    nothing, ModelError as loading does.
    """
    if config.quantize:
        model = _load_4bit(ref, device, config)
    else:
        model = load(
            ref, dtype="float32", device=device, purpose="train",
            trust_remote_code=config.trust_remote_code, progress=progress,
        ).model  # fmt: skip
    if device.type == "cpu":
        # on a CPU the fused attention's backward pass is 7 to 12% slower than plain products
        model.set_attn_implementation("eager")
    if getattr(model.config.get_text_config(), "router_aux_loss_coef", 0):
        progress.warn(
            f"{ref.spec} is a mixture of experts, and the loss that balances its experts is left "
            "out of this tuning."
        )
    if config.method == "full":
        return model.requires_grad_(True)
    settings = LoraConfig(
        task_type="CAUSAL_LM",
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=config.target_modules,
        use_dora=config.dora,
    )
    torch.manual_seed(config.seed)
    try:
        with quiet():
            return get_peft_model(model, settings).eval()
    except ValueError as error:
        raise ConfigError(
            f"target_modules {config.target_modules} fit no layer of {ref.spec}; name its linear "
            "layers, or say all-linear."
        ) from error


def parameters(model: Any) -> dict[str, int]:
    """How many there are, and how many are trained; tied weights count once."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return {
        "parameters": sum(size for size, _ in sizes),
        "trained_parameters": sum(size for size, trained in sizes if trained),
    }


def save(model: Any, tokenizer: Any, dtype: str, ref: ModelRef, folder: Path) -> None:
    """Write a checkpoint that transformers (or PEFT) loads, with the tokenizer, to `folder`.

    What stands there is replaced. An adapter names its base as the user did, by an absolute path
    where that is a folder.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with quiet():
        if isinstance(model, PeftModel):
            adapter = model.peft_config["default"]
            adapter.base_model_name_or_path = _lasting_name(ref)
            # a set has another order in every process, and the file would have other bytes
            adapter.target_modules = sorted(adapter.target_modules)
            model.save_pretrained(folder, save_embedding_layers=False)
            (folder / "README.md").unlink(missing_ok=True)  # an empty form to fill in
        else:
            model.to(getattr(torch, dtype)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors are written 0600, and checkpoints are shared
    sync_folder(folder)


def _lasting_name(ref: ModelRef) -> str:
    if ref.kind in ("hub", "embedded"):
        return ref.spec
    return str(Path(ref.spec).expanduser().absolute())


def _load_4bit(ref: ModelRef, device: torch.device, config: TuneConfig) -> Any:
    """QLoRA's base (arXiv 2305.14314, section 3): NF4, doubly quantised. Never run on a GPU yet."""
    path = embedded.folder(ref) if ref.kind == "embedded" else ref.path
    quantisation = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(
            path, quantization_config=quantisation, device_map={"": device},
            trust_remote_code=config.trust_remote_code,
        )  # fmt: skip
        return prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=config.gradient_checkpointing
        )
