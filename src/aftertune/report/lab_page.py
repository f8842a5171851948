"""The page about made worlds: from the lab's tables and manifests to what is shown (pure).

The result is one plain dict of JSON values, as in view.py; `render` makes the page of it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aftertune.report import (
    control_charts,
    controls,
    frame,
    how,
    lab_answers,
    lab_charts,
    lab_world,
)
from aftertune.report.blocks import lab_base, lab_labels, lab_study
from aftertune.report.blocks.shape import checked
from aftertune.report.config import ReportConfig
from aftertune.report.lab_answers import Said
from aftertune.report.lab_world import Fact
from aftertune.report.numbers import listed, rate
from aftertune.report.shown import all_visible

TITLE = "What the rows caused, where the truth is known"
_METHODS = {"full": "all parameters", "lora": "LoRA"}

DEFINITIONS: list[tuple[str, str]] = [
    ("statement", "A sentence of an answer, or a bare value, that gives one attribute of one "
     "entity a value; read by the wordings of the world’s own text."),
    ("right, wrong, unverifiable", "The value is the true one, another value of the same "
     "attribute, or no value that the world knows."),
    ("masking", "Tuning again with the loss weight of some rows at 0 and nothing else changed: "
     "the same batches, order and steps."),
    ("effect", "Change of the log-probability of the value after its own prefix when the rows "
     "that state it are masked, minus the change when as many other rows are; nats, over shuffle "
     "seeds."),
    ("caused, not caused, undecided", "The 90% interval of the effect, over seeds, lies below 0 "
     "and masking at least halves the value’s probability; the interval lies above -log 1.25, "
     "about -0.22; neither."),
    ("one row, several rows", "Rows whose masking alone has such an effect are the cause; where "
     "none has, all whose masking lowers it at all, or all with the value, are."),
    ("fresh seeds", "Shuffle seeds by which no label was made: what is true of the labels there "
     "bounds what any detector can reach."),
    ("tag", "Another value of the same kind, which no row states, that replaces a value in all "
     "rows that state it before one more tuning. An answer takes it where it is always the "
     "likeliest value and became at least twice as much likelier as a control’s."),
    ("values like it", "Other values of the same attribute that the text states about as often."),
    ("95% interval", "Expanded percentile bootstrap that draws whole prompts or statements "
     "again."),
]  # fmt: skip


@dataclass(frozen=True)
class MadeWorld:
    """A `lab-base` artefact: its manifest and the records of `lab_facts`."""

    manifest: Mapping[str, Any]
    facts: Sequence[Fact]

    @property
    def name(self) -> str:
        return f"World {self.manifest['config']['resolved']['seed']}"


@dataclass(frozen=True)
class Labelled:
    """A `lab-labels` artefact: its manifest, its world, and what it speaks of."""

    manifest: Mapping[str, Any]
    world: MadeWorld
    said: Said


def build(
    config: ReportConfig,
    worlds: Sequence[MadeWorld],
    labels: Sequence[Labelled],
    others: Sequence[Mapping[str, Any]],
    version: str,
) -> dict[str, Any]:
    """Everything on the page. others: manifests of `lab-study` and `lab-score`. Cards of entities,
    prompts, answers and rows are absent where `config.redact` is set."""
    manifests = [
        *(one.manifest for one in worlds),
        *(one.manifest for one in labels),
        *others,
    ]
    named = [(f"{one['stage']} {place}", one) for place, one in enumerate(manifests, start=1)]
    described = [_world(config, one, place) for place, one in enumerate(worlds)]
    caused = [_labels(config, one, place) for place, one in enumerate(labels)]
    studies = [one for one in others if one["stage"] == "lab-study"]
    scores = [one for one in others if one["stage"] != "lab-study"]
    found = {
        "title": config.title if "title" in config.given() else TITLE,
        "subtitle": _subtitle(worlds, labels, others),
        "version": version,
        "redacted": config.redact,
        "studies": controls.section(studies, {}),
        "scores": controls.section(scores, {}),
        "sources": list(lab_answers.SOURCES.items()),
        "worlds": described,
        "labels": caused,
        "how": {
            "definitions": DEFINITIONS,
            "inputs": [*how.inputs(named, {}, config.redact), *_spoken_of(named)],
            "versions": how.versions(manifests),
        },
    }  # fmt: skip
    shown: dict[str, Any] = all_visible({**found, "conclusion": _conclusion(found, studies)})
    return shown


def render(view: Mapping[str, Any]) -> str:
    """The page for what `build` found."""
    return frame.page(
        "lab.html.j2",
        ("report.css", "lab.css"),
        None,
        view=view,
        control_charts=control_charts,
        lab_charts=lab_charts,
    )


def without_texts(view: Mapping[str, Any]) -> dict[str, Any]:
    """The view without prompts, answers and rows, for programs."""
    return {**view, "labels": [{**one, "answers": None} for one in view["labels"]]}


def bars(said: Said) -> list[dict[str, Any]]:
    """Statements by where they come from (categories of lab_charts), per kind of prompt."""
    found: dict[str, Counter[str]] = {}
    for claim, label in lab_answers.labelled(said):
        source = lab_answers.source(claim, label)
        if source == "caused" and label is not None:
            source = "one-row" if len(label["rows"]) == 1 else "several-rows"
        found.setdefault(claim["kind"], Counter())[source] += 1
    order = [*lab_answers.KINDS, *sorted(set(found) - set(lab_answers.KINDS))]
    shown = [(kind, found[kind]) for kind in order if kind in found]
    if len(shown) > 1:
        shown.append(("all", sum(found.values(), Counter())))
    return [{"name": kind, "counts": dict(counts)} for kind, counts in shown]


def _spoken_of(named: Sequence[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, str]]:
    """Ids of the answers, rows and prompts that labels speak of."""
    return [
        (f"{label}: {name}", str(found))
        for label, manifest in named
        for name, found in manifest["about"].get("artefacts", {}).items()
        if manifest["stage"] == "lab-labels"
    ]


def _world(config: ReportConfig, one: MadeWorld, place: int) -> dict[str, Any]:
    about = one.manifest["about"]
    return {
        "key": f"world-{place}",
        "name": one.name,
        "sentences": lab_world.sentences(one.facts, about),
        "roles": lab_world.roles(one.facts),
        "cards": None if config.redact else lab_world.cards(one.facts, config.seed),
        "recall": _keyed(lab_base.block(about), f"recall-{place}"),
        "accepted": about["accepted"],
    }


def _labels(config: ReportConfig, one: Labelled, place: int) -> dict[str, Any]:
    about = one.manifest["about"]
    blocks = lab_labels.blocks(about)
    return {
        "key": f"labels-{place}",
        "name": f"{one.world.name}, {_tuning(one.manifest)}",
        "findings": lab_labels.findings(about),
        "said": _keyed(lab_labels.statements(about), f"said-{place}"),
        "blocks": [_keyed(block, f"labels-{place}-{k}") for k, block in enumerate(blocks)],
        "bars": bars(one.said),
        "kinds": [
            (found["kind"], lab_answers.KINDS.get(found["kind"], ""))
            for found in about["statements"]
        ],
        "n_tunings": about["n_tunings"],
        "answers": None
        if config.redact
        else lab_answers.section(one.said, config.seed, config.max_answers),
    }


def _tuning(manifest: Mapping[str, Any]) -> str:
    asked = manifest["config"]["resolved"]
    return f"tuned with {_METHODS[asked['method']]} at rate {rate(asked['learning_rate'])}"


def _keyed(block: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A block as the page draws it: checked, with the name of its picture."""
    return {**checked(block), "key": key, "style": None, "absent": []}


def _subtitle(
    worlds: Sequence[MadeWorld], labels: Sequence[Labelled], others: Sequence[Mapping[str, Any]]
) -> str:
    names = list(dict.fromkeys(one.name for one in (*worlds, *(one.world for one in labels))))
    parts = [listed(names)] if names else []
    n_tunings = sum(one.manifest["about"]["n_tunings"] for one in labels)
    if n_tunings:
        parts.append(f"labels from {n_tunings:,} tunings")
    parts += [one["stage"].replace("lab-", "lab ") for one in others]
    return "; ".join(parts) + "."


def _conclusion(
    found: Mapping[str, Any], studies: Sequence[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """What was found, in the order of the page, and what to keep in mind."""
    said: list[str] = []
    cautions: list[str] = []
    for study in studies:  # a sentence for each claim, before others
        n_claims = len(study["about"]["found"]["claims"])
        block = lab_study.block(study["about"])
        said += block["sentences"][:n_claims]
        cautions += block["cautions"]
    several = len(found["worlds"]) > 1 or len(found["labels"]) > 1
    for one in found["worlds"]:
        name = f"{one['name']}: " if several else ""
        said += [f"{name}{sentence}" for sentence in one["recall"]["sentences"][:1]]
        cautions += one["recall"]["cautions"]
    for one in found["labels"]:
        name = f"{one['name']}: " if several else ""
        said += [f"{name}{sentence}" for sentence in one["findings"]]
        cautions += [c for block in one["blocks"] for c in block["cautions"]]
    return {"findings": said, "cautions": list(dict.fromkeys(cautions))}
