"""What stands in an artefact's folder until it is finished, and whether a later run continues it.

`draft.json` records the environment in which the folder was begun, and the seconds spent on it.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from aftertune.artefact.durable import TEMPORARY, write_durably
from aftertune.artefact.plan import Plan, difference

DRAFT = "draft.json"
SCRATCH = "work"


def continue_or_restart(folder: Path, plan: Plan) -> tuple[float, str | None]:
    """Leave in `folder` what this run can use; the seconds spent on that, and why the rest, if
    anything, was thrown away.

    bf16 values depend on the environment, so what another one made is not continued.
    """
    before = _read_note(folder)
    restarted = None
    if before is None:
        if any(folder.iterdir()):
            _empty(folder)  # killed before draft.json was written; nothing of value is here
    elif before["environment"] != json.loads(json.dumps(dict(plan.environment))):
        name, was, now = difference(before["environment"], plan.environment)
        restarted = f"{name} was {was} and is now {now}"
        _empty(folder)
        before = None
    for leftover in folder.rglob(f"*{TEMPORARY}"):
        leftover.unlink()
    seconds = float(before["seconds"]) if before else 0.0
    write_note(folder, plan, seconds)
    return seconds, restarted


def write_note(folder: Path, plan: Plan, seconds: float) -> None:
    """Keep what a later run has to know. seconds: spent on the folder by all runs so far."""
    note = {"id": plan.id, "environment": dict(plan.environment), "seconds": seconds}
    text = json.dumps(note, sort_keys=True)
    write_durably(folder / DRAFT, lambda out: out.write_text(text, encoding="utf-8"))


def clear(folder: Path) -> None:
    """What only an unfinished artefact needs is gone, but for `draft.json`."""
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)


def _read_note(folder: Path) -> dict[str, Any] | None:
    try:
        note = json.loads((folder / DRAFT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return note if isinstance(note, dict) else None


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
