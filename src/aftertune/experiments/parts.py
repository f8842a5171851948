"""What the shift is made of: template, style and content, by intervention.

Template: the base reads its prompts under its own template, then under the tuned model's. Style: a
style twin is tuned on the same rows, in the same batches and with the same settings, after their
names, numbers and facts were permuted between rows. Content: the rest. The numbers are made in
`controls/parts.py`.

The base's own template is the chat template of its tokenizer. A base without one has none that is
its own, so it reads prompts `raw`: as they stand, without any marker.
"""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Plan
from aftertune.config import StageConfig, build
from aftertune.controls.parts import VARIANTS, share_out, stop_positions, summed, together
from aftertune.controls.permute import exchange
from aftertune.data import templates
from aftertune.data.templates import Template
from aftertune.experiments import retune
from aftertune.experiments.subject import Subject
from aftertune.models.load import load_tokenizer
from aftertune.models.reference import local, resolve
from aftertune.progress import Progress
from aftertune.shift import run as shift_stage
from aftertune.shift.config import ShiftConfig
from aftertune.shift.groups import prompts_of
from aftertune.tune import run as tune_stage

VERSION = 2  # stop tokens by their ids
TWIN_VERSION = 1
PART_ROWS = 4096


class PartsConfig(StageConfig):
    """The shift of one tuned model, parted."""

    recorded_only: ClassVar[frozenset[str]] = frozenset({"name"})

    name: str
    own_template: str  # of the base
    seed: int
    absent: dict[str, str] = Field(default_factory=dict)  # what cannot be given -> why


class TwinConfig(StageConfig):
    """Rows of which the names, numbers and facts were permuted between those that were tuned on."""

    control: str = "style-twin"
    seed: int


def run(subject: Subject, out: Path, progress: Progress) -> Artefact:
    """The artefact `control-parts` of one tuned model: its parts, or why there are none."""
    own = _own_template(subject)
    config = PartsConfig(name=subject.name, own_template=own.name, seed=subject.seed)
    if reason := retune.why_not(subject):
        return _written(subject, config.resolve(absent={"parts": reason}), {}, {}, out)
    assert subject.tune is not None
    progress.say(
        f"{subject.name}: one more tuning for the parts of its shift, a style twin; the first took "
        f"{subject.tune.manifest['seconds']:,.0f} s."
    )
    rows = style_twin(subject, out)
    asked = retune.settings(
        subject, name=f"{subject.name}, style twin", take_plan=subject.tune.folder
    )
    twin = tune_stage.run(asked, rows, out, progress)
    shifts = _shifts(subject, twin, own, out, progress)
    found = _found(subject, own, rows, twin, shifts)
    return _written(subject, config, {**shifts, "twin": twin}, found, out)


def style_twin(subject: Subject, out: Path) -> Artefact:
    """The rows of a tuning as a `rows-…` artefact in which those trained on are style twins.

    Each keeps the row_id and row_index of its row, so split, weights and batch plan hold for both.
    """
    rows, tune = retune.rows_of(subject), subject.tune
    assert rows is not None
    assert tune is not None
    config = TwinConfig(seed=subject.seed)
    inputs = (rows.as_input("rows"), tune.as_input("tune"))
    plan = Plan("rows", TWIN_VERSION, config.given(), config, inputs)
    if found := artefact.find(out, plan):
        return found
    records = rows.table("rows").to_pylist()
    used = retune.trained(tune)
    chosen = [record for record in records if record["row_index"] in used]
    twins = exchange(
        [record["messages"] for record in chosen],
        subject.seed,
        [record["row_id"] for record in chosen],
    )
    for record, messages in zip(chosen, twins.messages, strict=True):
        record["messages"] = messages
    with artefact.draft(out, plan) as draft:
        for index, start in enumerate(range(0, len(records), PART_ROWS)):
            part = schema.from_rows("rows", records[start : start + PART_ROWS])
            draft.write(index, {"rows": part})
        counts = {"done": len(chosen), "skipped": {}, "unscored": {}}
        return draft.finish(counts, {"twin_of": rows.id, "exchanged": twins.counts})


def _own_template(subject: Subject) -> Template:
    """The base's own template; see above."""
    ref = local(resolve(subject.base))
    tokenizer = load_tokenizer(ref, trust_remote_code=subject.trust_remote_code)
    return templates.get("chat" if tokenizer.chat_template else "raw", tokenizer)


def _same_template(subject: Subject, own: Template) -> bool:
    used = subject.responses.about.get("template") or {}
    return bool(used.get("sha256") == own.sha256)


def _shifts(
    subject: Subject, twin: Artefact, own: Template, out: Path, progress: Progress
) -> dict[str, Artefact]:
    """The tuned model's shift from each of the four variants, on its own answers."""

    def shift(base: str, base_template: str | None) -> Artefact:
        asked = {
            **subject.shift_options(),
            "base": base,
            "tuned": subject.tuned,
            "name": subject.name,
            "base_template": base_template,
        }
        return shift_stage.run(build(ShiftConfig, asked), subject.responses, out, progress)

    other = None if _same_template(subject, own) else own.name
    folder = str(twin.folder)
    return {
        "none": subject.shift if other is None else shift(subject.base, other),
        "template": subject.shift,
        "style": shift(folder, other),
        "both": shift(folder, None),
    }


def _found(
    subject: Subject, own: Template, rows: Artefact, twin: Artefact, shifts: dict[str, Artefact]
) -> dict[str, Any]:
    responses = subject.responses.table("responses")
    stop_ids = subject.responses.about.get("stop_ids")
    stops = stop_positions(responses, stop_ids or [])
    scored = {name: summed(shifts[name].table("tokens"), stops) for name in VARIANTS}
    sums, counts, prompts = together(scored, prompts_of(responses))
    in_any = {response_id for one in scored.values() for response_id in one}
    used = subject.responses.about.get("template") or {}
    return {
        **share_out(sums, counts, prompts, subject.seed),
        "not_in_all_four": len(in_any) - len(prompts),
        "stops_known": stop_ids is not None,
        "only_a_stop": sum(count == 0 for _, count in scored["template"].values()),
        "templates": {
            "own": own.name,
            "tuned": used.get("name"),
            "same": _same_template(subject, own),
        },
        "twin": {
            "tune": twin.id,
            "rows": rows.id,
            "n_rows": rows.counts["done"],
            "exchanged": rows.about["exchanged"],
        },
    }


def _written(
    subject: Subject, config: PartsConfig, used: dict[str, Artefact], found: dict[str, Any],
    out: Path,
) -> Artefact:  # fmt: skip
    inputs = {"responses": subject.responses, "shift": subject.shift, **used}
    given = tuple(one.as_input(name) for name, one in inputs.items())
    plan = Plan("control-parts", VERSION, config.given(), config, given)
    if done := artefact.find(out, plan):
        return done
    about = {"control": "parts", "name": subject.name, "found": found, "absent": config.absent}
    counts = {"done": found.get("n_responses", 0), "skipped": {}, "unscored": {}}
    with artefact.draft(out, plan) as draft:
        return draft.finish(counts, about)
