"""Artefacts: the folders in which stages meet.

An artefact is `OUT/<stage>-<hash>/` with `manifest.json` and Parquet tables
(`<table>/part-00000.parquet`). Its name is a hash of the stage, the format and stage version,
the ids of its inputs and the part of the config that changes numbers. So the same question
has the same name and is answered once, and any change of an input's content gets another.

A part is written under a temporary name, synced and renamed; the manifest comes last. A run
killed at any moment continues where it was: parts that exist are never computed again, and
parts and batches are planned before the run, so no value depends on where it was interrupted.

Several processes (`parallel.py`) make one artefact together: each writes the parts that it was
handed by `Draft.mine`, process 0 writes everything else, locks the folder and finishes it.
"""

from aftertune.artefact.drafting import Draft, draft
from aftertune.artefact.durable import write_durably
from aftertune.artefact.hashes import hash_file, hash_json
from aftertune.artefact.manifest import MANIFEST
from aftertune.artefact.plan import Input, Plan, environment
from aftertune.artefact.reading import Artefact, find, open_artefact
from aftertune.artefact.unfinished import SCRATCH

__all__ = [
    "MANIFEST",
    "SCRATCH",
    "Artefact",
    "Draft",
    "Input",
    "Plan",
    "draft",
    "environment",
    "find",
    "hash_file",
    "hash_json",
    "open_artefact",
    "write_durably",
]
