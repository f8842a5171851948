"""What a user calls a model: hub id, folder, adapter, embedded.

`resolve` turns what was typed into a `ModelRef` without touching the network; `local` fetches a
hub id's files. No torch here: the command line resolves before it computes.
"""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from aftertune.errors import ModelError
from aftertune.models.files import DOUBLES, MATTERS, read_json, tune_manifest
from aftertune.models.packaged import PREFIX, embedded

Kind = Literal["hub", "folder", "adapter", "embedded"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class ModelRef:
    """A model as resolved: `path` is its folder (or .gguf file), None while it is not local yet.

    `base` is set for adapters, and for hub ids that may turn out to be one.
    """

    kind: Kind
    spec: str  # as the user named it
    path: Path | None = None
    base: "ModelRef | None" = None


def resolve(spec: str | Path, base: "str | Path | ModelRef | None" = None) -> ModelRef:
    """What `spec` names. `base` stands in for the base that an adapter names itself.

    Raises ModelError with one sentence: no such folder, nothing loadable in it, pickled weights,
    an unknown embedded model, an adapter without a base.
    """
    spec = os.fspath(spec)
    if not spec.strip():
        raise ModelError(
            "a model's name is empty; give a folder, a hub id or embedded:smollm2-135m."
        )
    if spec.startswith(PREFIX):
        embedded(spec)  # there is one of this name
        return ModelRef("embedded", spec)
    path = Path(spec).expanduser()
    if path.is_dir():
        return _resolve_folder(spec, path, base)
    if path.is_file():
        return _resolve_file(spec, path)
    if not _HUB_ID.fullmatch(spec) or spec.endswith(".gguf"):
        raise ModelError(f"no such folder: {spec}; give a checkpoint's folder or a hub id.")
    return ModelRef("hub", spec, None, _as_ref(base))


def local(ref: ModelRef) -> ModelRef:
    """The same model with its files on this machine; a hub id is downloaded where not cached.

    A hub id that holds an adapter comes back as kind "adapter". An adapter's base is made local
    too. Raises ModelError when the hub does not give it.
    """
    if ref.kind == "hub" and ref.path is None:
        found = _resolve_folder(ref.spec, _download(ref.spec), ref.base)
        ref = replace(found, kind="hub") if found.kind == "folder" else found
    if ref.base is None:
        return ref
    try:
        return replace(ref, base=local(ref.base))
    except ModelError as error:
        raise ModelError(
            f"{ref.spec} is an adapter whose base {ref.base.spec} cannot be had "
            f"({_first_sentence(error)}); give its base with --base."
        ) from error


def find(spec: str | Path, base: str | Path | ModelRef | None = None) -> ModelRef:
    """What `spec` names, on this machine. Every stage asks here, so that all see one model.

    An adapter stands on the base that it names; only where that cannot be had, on `base`.
    Raises ModelError as `resolve` and `local` do.
    """
    try:
        return local(resolve(spec))
    except ModelError:
        if base is None:
            raise
        return local(resolve(spec, base))


def _as_ref(base: str | Path | ModelRef | None) -> ModelRef | None:
    return base if base is None or isinstance(base, ModelRef) else resolve(base)


def _resolve_file(spec: str, path: Path) -> ModelRef:
    if path.suffix.lower() != ".gguf":
        raise ModelError(f"{spec} is a file; give the checkpoint's folder, or a .gguf file.")
    return ModelRef("folder", spec, path)


def _resolve_folder(spec: str, path: Path, base: str | Path | ModelRef | None) -> ModelRef:
    if (path / "draft.json").exists() and path.name.startswith("tune-"):
        raise ModelError(f"{spec} is an unfinished tuning run; run its command again to finish it.")
    if tune_manifest(path) is not None:
        path = path / "model"
        if not path.is_dir():
            raise ModelError(f"{spec} has lost its model/ folder; delete it and tune again.")
    adapter_weights = (path / "adapter_model.safetensors").exists()
    if (path / "adapter_config.json").exists() and (adapter_weights or not _weights(path)):
        if not adapter_weights:
            raise ModelError(_no_weights(spec, path, "adapter_model.safetensors"))
        return ModelRef("adapter", spec, path, _base_of(spec, path, base))
    if not (path / "config.json").exists():
        if gguf := sorted(path.glob("*.gguf")):
            raise ModelError(f"{spec} holds GGUF files; give one of them itself, like {gguf[0]}.")
        raise ModelError(
            f"{spec} is not a model: it has neither config.json nor adapter_config.json; "
            "give the folder that save_pretrained wrote."
        )
    if not _weights(path):
        raise ModelError(_no_weights(spec, path, "*.safetensors"))
    return ModelRef("folder", spec, path)


def _weights(path: Path) -> list[Path]:
    return [file for file in path.glob("*.safetensors") if not file.name.startswith("adapter_")]


def _no_weights(spec: str, path: Path, wanted: str) -> str:
    if [*path.glob("pytorch_model*.bin"), *path.glob("adapter_model.bin"), *path.glob("*.pt*")]:
        return (
            f"{spec} has its weights only as a pickle, which can run code when opened; load it "
            "where you trust it and save it again with save_pretrained as safetensors."
        )
    return f"{spec} has no weights that can be read ({wanted}); save it again as safetensors."


def _base_of(spec: str, path: Path, base: str | Path | ModelRef | None) -> ModelRef:
    """The base of the adapter in `path`: as given, else as the adapter or its tuning names it."""
    if base is not None:
        found = _as_ref(base)
    else:
        named = read_json(path / "adapter_config.json").get("base_model_name_or_path")
        manifest = tune_manifest(path.parent)
        recorded = manifest["config"]["resolved"].get("base") if manifest else None
        found = _first_base([name for name in (named, recorded) if name], path)
    if found is None:
        raise ModelError(
            f"{spec} is an adapter, and its base cannot be found where it says; say which model "
            "it belongs to with --base."
        )
    if found.kind == "adapter":
        raise ModelError(
            f"{spec} is an adapter on top of the adapter {found.spec}; merge that one first."
        )
    return found


def _first_base(names: list[str], folder: Path) -> ModelRef | None:
    hub = None
    for name in names:
        for place in (Path(name).expanduser(), folder / name):
            if place.is_dir() or place.is_file():
                return resolve(place)
        if name.startswith(PREFIX):
            return resolve(name)
        if hub is None and _HUB_ID.fullmatch(name):
            hub = resolve(name)
    return hub


def _download(spec: str) -> Path:
    try:
        found = huggingface_hub.snapshot_download(
            spec, allow_patterns=list(MATTERS), ignore_patterns=[DOUBLES]
        )
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        raise ModelError(
            f"{spec} is neither a folder nor a model that the hub gives us "
            f"({_first_sentence(error)}); check the name, your network and your access to it."
        ) from error
    return Path(found)


def _first_sentence(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].split(". ")[0].rstrip(".:")[:160]
