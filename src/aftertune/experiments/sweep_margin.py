"""The margin of a sweep, written down before anything that it judges is measured.

The artefact `margin-...` holds `margin.json`: the value, the rule that gave it, when it was
written, what was looked at, and which shifts lay finished in OUT at that moment. Its hash goes into
the sweep's manifest, so a margin that was chosen later would be another artefact.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from aftertune import artefact, parallel
from aftertune.artefact import Artefact, Input, Plan
from aftertune.config import StageConfig
from aftertune.controls.sweep import ByPrompt, gap
from aftertune.stats.equivalence import Margin

VERSION = 2  # a gap that is undecided gives no margin
SHARE = 0.1  # of the gap between full tuning and LoRA
FILE = "margin.json"


class MarginConfig(StageConfig):
    """What the margin follows from: a number that was given, or the gap of pilot tunings."""

    given_nats: float | None = None
    share_of_gap: float | None = None
    pilots: tuple[str, ...] = ()  # names of the pilot tunings
    learning_rate: float | None = None  # of all pilots
    size: int | None = None  # rows of each pilot
    absent: str | None = None  # why there are no pilots


def fix(
    config: MarginConfig,
    inputs: Sequence[Input],
    pilots: tuple[ByPrompt, ByPrompt] | None,
    out: Path,
) -> Artefact:
    """Write the margin down, or find it written.

    inputs: base, rows and prompts, and the pilots' shifts; pilots: values [S, P] of full tuning
    and of LoRA, where the margin is a share of their gap. A margin that cannot be had (the gap is
    undecided) is absent in `about`, with the reason.
    """
    plan = Plan("margin", VERSION, config.given(), config, tuple(inputs))
    if found := artefact.find(out, plan):
        return found
    with artefact.draft(out, plan) as draft:
        margin, reason, found_gap = _margin(config, pilots)
        before = sorted(path.parent.name for path in out.glob("shift-*/manifest.json"))
        known = {given.id for given in inputs}
        about = {
            "margin": margin.as_json() if margin else None,
            "reason": reason,
            "gap": found_gap,
            "measured_before": [name for name in before if name not in known],
        }
        about = parallel.share("the margin is fixed", about)  # one clock, one look at OUT
        text = json.dumps(about, ensure_ascii=False, indent=1)
        artefact.write_durably(draft.folder / FILE, partial(_write_text, text))
        return draft.finish({"done": 1, "skipped": {}, "unscored": {}}, about)


def margin_of(fixed: Artefact) -> Margin | None:
    """The margin that a `margin-...` artefact holds."""
    found = fixed.about["margin"]
    return Margin(**found) if found else None


def _margin(
    config: MarginConfig, pilots: tuple[ByPrompt, ByPrompt] | None
) -> tuple[Margin | None, str | None, dict[str, Any] | None]:
    """The margin, or why there is none; and the pilots' gap."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if config.given_nats is not None:
        return Margin(config.given_nats, "given by the user", now, "nothing"), None, None
    if pilots is None or config.share_of_gap is None:
        return None, config.absent or "there are no pilot tunings; give --margin", None
    found = gap(*pilots)
    low, high = found.interval.low, found.interval.high
    if found.interval.estimate is None or low is None or high is None or low <= 0 <= high:
        between = found.interval.reason or f"{low:.4g} to {high:.4g} nats per token"
        reason = f"the pilots' gap is undecided ({between}); give --margin"
        return None, reason, found.as_json()
    size = abs(found.interval.estimate)
    rule = (
        f"{config.share_of_gap:g} of the gap between full tuning and LoRA, both at the learning "
        f"rate {config.learning_rate:g} on {config.size:,} rows, in mean KL(tuned from base) per "
        "token"
    )
    source = f"pilot tunings: {', '.join(config.pilots)}"
    return Margin(config.share_of_gap * size, rule, now, source), None, found.as_json()


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")
