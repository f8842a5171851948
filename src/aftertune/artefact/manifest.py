"""`manifest.json`: what an artefact is and holds, with a hash of every file and of itself."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from aftertune import schema
from aftertune.artefact.durable import TEMPORARY, write_durably
from aftertune.artefact.hashes import hash_file, hash_json
from aftertune.artefact.plan import Plan
from aftertune.artefact.unfinished import DRAFT
from aftertune.errors import ArtefactError, DamagedPart

MANIFEST = "manifest.json"

Manifest = dict[str, Any]


def contents(folder: Path) -> Manifest:
    """tables: of each its parts with rows and hash; files: of each other file its bytes and hash.

    Both as the manifest has them.
    """
    tables: dict[str, list[dict[str, Any]]] = {}
    files: dict[str, dict[str, Any]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if name in (DRAFT, MANIFEST) or name.endswith(TEMPORARY):
            continue
        if path.suffix == ".parquet" and path.parent.name in schema.TABLES:
            rows = pq.read_metadata(path).num_rows
            entry = {"file": name, "rows": rows, "sha256": hash_file(path)}
            tables.setdefault(path.parent.name, []).append(entry)
        else:
            files[name] = {"bytes": path.stat().st_size, "sha256": hash_file(path)}
    return {"tables": tables, "files": files}


def write_manifest(
    folder: Path, plan: Plan, held: Manifest, counts: Mapping[str, Any], about: Mapping[str, Any],
    seconds: float,
) -> Manifest:  # fmt: skip
    """Write what `folder` answers, and what it holds (of `contents`); from here on it is an
    artefact."""
    manifest = {
        "format_version": schema.FORMAT_VERSION,
        "stage": plan.stage,
        "stage_version": plan.stage_version,
        "id": plan.id,
        "config": {"given": dict(plan.given), "resolved": plan.resolved.everything()},
        "inputs": [vars(given) for given in plan.inputs],
        "environment": dict(plan.environment),
        "counts": dict(counts),
        "about": dict(about),
        **held,
        "seconds": round(seconds, 3),
    }
    manifest = json.loads(json.dumps(manifest, allow_nan=False))
    manifest["sha256"] = _hash_of(manifest)
    text = json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    write_durably(folder / MANIFEST, lambda out: out.write_text(text, encoding="utf-8"))
    found: Manifest = json.loads(text)
    return found


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the artefact in `folder`.

    Raises ArtefactError when there is none, it is unfinished or of another format version;
    DamagedPart when it is not as it was written.
    """
    path = folder / MANIFEST
    if not path.exists():
        if (folder / DRAFT).exists():
            raise ArtefactError(f"{folder} is unfinished; run its command again to continue it.")
        raise ArtefactError(f"{folder} is not an artefact: it has no {MANIFEST}.")
    damaged = DamagedPart(f"{path} is damaged; delete {folder} and run its command again.")
    try:
        manifest: Manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise damaged from error
    if version != schema.FORMAT_VERSION:
        raise ArtefactError(
            f"{folder} has format version {version}, this aftertune reads "
            f"{schema.FORMAT_VERSION}; run its command again."
        )
    if manifest.get("sha256") != _hash_of(manifest):
        raise damaged  # also what was edited by hand: its numbers would pass for measured ones
    return manifest


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare every part and file with its hash; raises DamagedPart naming the first that is not
    as it was written."""
    entries = [part for parts in manifest["tables"].values() for part in parts]
    entries += [{"file": name, **entry} for name, entry in manifest["files"].items()]
    for entry in entries:
        path = folder / entry["file"]
        if not path.exists():
            state = "is missing"
        elif hash_file(path) != entry["sha256"]:
            state = "is damaged"
        else:
            continue
        raise DamagedPart(f"{path} {state}; delete {folder} and run its command again.")


def _hash_of(manifest: Mapping[str, Any]) -> str:
    """sha256 of the manifest but for this hash, and for `seconds`, which differ from run to run."""
    return hash_json({k: v for k, v in manifest.items() if k not in ("sha256", "seconds")})
