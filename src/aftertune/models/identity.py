"""Which model it is, by content.

Identity does not depend on where the files lie, so a copied or moved checkpoint keeps its name,
and one whose weights were overwritten gets another. No torch here.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aftertune.artefact import Input, hash_json
from aftertune.models.files import files_that_matter, read_json
from aftertune.models.hashes import sha256_of
from aftertune.models.packaged import embedded_gguf
from aftertune.models.reference import Kind, ModelRef, local


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


def identity(ref: ModelRef) -> Identity:
    """Identity by content; an adapter's covers its base. Fetches what is not local.

    Hashes are kept in the user's cache under the file's real path, size and times, so that a
    second call does not read the weights again.
    """
    ref = local(ref)
    if ref.kind == "embedded":
        # the GGUF decides; its converted copy may differ in spelling between library versions
        gguf = embedded_gguf(ref.spec)
        files = {gguf.name: sha256_of(gguf)}
    else:
        assert ref.path is not None, "a local model has a path"
        files = {path.name: _hash_of(path) for path in files_that_matter(ref.path)}
    base = identity(ref.base) if ref.kind == "adapter" and ref.base else None
    sha256 = hash_json({"files": files, "base": base.sha256 if base else None})
    return Identity(f"model-{sha256[:16]}", sha256, ref.kind, ref.spec, files, base)


def _hash_of(path: Path) -> str:
    if path.name == "adapter_config.json":
        # where the base lay when the adapter was saved is no part of what the adapter is
        config = read_json(path)
        return hash_json({k: v for k, v in config.items() if k != "base_model_name_or_path"})
    return sha256_of(path)
