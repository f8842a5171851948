"""`control-recall`: what tuned models know beside their base, from `recall` artefacts.

Apart from the asking, so that a model more does not ask the others again. Table `recall_pairs`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Plan
from aftertune.errors import ArtefactError
from aftertune.progress import Progress
from aftertune.recall.config import CompareConfig
from aftertune.recall.facts import Fact
from aftertune.recall.summary import Bought, Side, summarise, table

VERSION = 2
_ASKED = ("shots", "draws", "max_new_tokens", "max_answer_words", "seed", "dtype")


def run(
    config: CompareConfig, base: Artefact, tuned: Mapping[str, Artefact],
    shifts: Mapping[str, Artefact], judged: Artefact | None, novelty: Artefact | None, out: Path,
    progress: Progress,
) -> Artefact:  # fmt: skip
    """Compare the tuned models' answers with the base's.

    shifts: name -> `shift` artefact, for the mean KL. judged: a `control-judge` artefact, whose
    mean over aspects is the quality of a model. novelty: of the rows, in this base. Raises
    ArtefactError where the models were not asked alike.
    """
    _check(base, tuned)
    _check_beside(base, tuned, shifts, judged)
    inputs = [base.as_input("base"), *(one.as_input(f"tuned {n}") for n, one in tuned.items())]
    inputs += [one.as_input(f"shift {name}") for name, one in shifts.items()]
    inputs += [one.as_input(name) for name, one in (("judged", judged), ("novelty", novelty))
               if one]  # fmt: skip
    plan = Plan("control-recall", VERSION, config.given(), config, tuple(inputs))
    if found := artefact.find(out, plan):
        return found
    facts = facts_of(base)
    sides = {name: _side(one) for name, one in tuned.items()}
    bought = {name: Bought(_quality(judged, name), _mean_kl(shifts.get(name))) for name in tuned}
    with artefact.draft(out, plan) as draft:
        progress.say("comparing what base and tuned know")
        draws = int(base.config["draws"])
        records = table(_side(base), sides, facts, draws)
        draft.write(0, {"recall_pairs": schema.from_rows("recall_pairs", records)})
        summary = summarise(_side(base), sides, facts, draws, config.margin, config.seed, bought)
        about = {
            "control": "recall",
            "names": list(tuned),
            "base": base.about["model"],
            "source": base.about["source"],
            "chance": base.about["chance"],
            "settings": {name: base.config[name] for name in (*_ASKED, "samples", "temperature")},
            "templates": {name: one.config["template"] for name, one in tuned.items()},
            "unasked": base.counts["unscored"],
            "aside": base.counts["skipped"],
            "novelty": novelty.about["found"] if novelty else None,
            "found": summary,
            "absent": {},
        }
        return draft.finish({"done": len(facts), "skipped": {}, "unscored": {}}, about)


def facts_of(recall: Artefact) -> list[Fact]:
    """The facts that a `recall` artefact asked for."""
    return [
        Fact(
            one["fact_id"], one["row_index"], one["question"], one["answer"],
            tuple(one["aliases"]), tuple(one["distractors"]), json.loads(one["tags"]),
        )
        for one in recall.table("facts").to_pylist()
    ]  # fmt: skip


def _check(base: Artefact, tuned: Mapping[str, Artefact]) -> None:
    for name, one in {"the base": base, **tuned}.items():
        if one.stage != "recall":
            raise ArtefactError(f"{one.folder} is a {one.stage} artefact; give recall-… artefacts.")
        alike = all(one.config[option] == base.config[option] for option in _ASKED)
        facts = [[given["id"] for given in side.manifest["inputs"] if given["name"] == "facts"]
                 for side in (base, one)]  # fmt: skip
        if not alike or facts[0] != facts[1]:
            raise ArtefactError(
                f"{name} was asked otherwise than the base (other facts, examples or dtype); ask "
                "both with the same options."
            )
    if not base.config["classify"]:
        raise ArtefactError(f"{base.folder} was not asked for classes; ask the base with classify.")


def _check_beside(
    base: Artefact, tuned: Mapping[str, Artefact], shifts: Mapping[str, Artefact],
    judged: Artefact | None,
) -> None:  # fmt: skip
    """Whether the shifts are of these models, and the verdicts a `control-judge`."""
    for name, shift in shifts.items():
        wanted = {"base": _model_id(base, "model"), "tuned": _model_id(tuned[name], "model")}
        found = {side: _model_id(shift, side) for side in wanted}
        if shift.stage != "shift" or found != wanted:
            raise ArtefactError(
                f"{shift.folder} is no shift of {name} from this base; give the shift-… artefact "
                "of the two."
            )
    if judged is not None and judged.stage != "control-judge":
        raise ArtefactError(
            f"{judged.folder} is a {judged.stage} artefact; give a control-judge-… artefact."
        )


def _model_id(one: Artefact, name: str) -> str | None:
    return next((its["id"] for its in one.manifest["inputs"] if its["name"] == name), None)


def _side(one: Artefact) -> Side:
    texts = one.table("text_loss").to_pylist() if "text_loss" in one.tables else []
    return Side(one.table("recall").to_pylist(), texts)


def _mean_kl(shift: Artefact | None) -> float | None:
    if shift is None:
        return None
    values = shift.table("tokens").column("kl_tuned_base_nats").to_numpy()
    return float(values.mean()) if len(values) else None


def _quality(judged: Artefact | None, name: str) -> float | None:
    """Mean over aspects of a model's mean score."""
    if judged is None:
        return None
    means: Mapping[str, Any] = judged.about["found"]["means"]
    found = [one[name]["estimate"] for one in means.values() if name in one]
    return sum(found) / len(found) if found and None not in found else None
