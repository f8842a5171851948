"""What tuning as such does: another seed of the same tuning, and a tuning with nothing to learn.

Two seeds: the same tuning again with the next seed and another order of rows. The tuned model's
distance from that one, on its own answers, is what the headline would be if nothing but chance
lay between two models; and the other seed's own headline says how far the headline itself moves.

Null: the base answers the rows' prompts greedily, and is tuned with the same settings on its own
answers. What that shifts, on the tuned model's answers and on the null's, needs no new content.
"""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Plan, hash_json
from aftertune.config import StageConfig, build
from aftertune.controls.floors import compared, of_prompts, of_responses
from aftertune.data.conversations import message
from aftertune.experiments import retune
from aftertune.experiments.subject import Subject
from aftertune.progress import Progress
from aftertune.respond import run as respond_stage
from aftertune.respond.config import RespondConfig
from aftertune.shift import run as shift_stage
from aftertune.shift.config import ShiftConfig
from aftertune.shift.groups import prompts_of
from aftertune.tune import run as tune_stage
from aftertune.tune.config import TuneConfig

VERSION = 1
MADE_VERSION = 1
PART_ROWS = 4096
# Of the lengths of the rows' answers, which the base's own answers may reach: few are longer, and
# a base that never stops must not train on much more than the tuned model did.
LONGEST = 0.95

NO_ANSWERS = "the base has an answer to none of the rows' prompts"


class FloorsConfig(StageConfig):
    """What other tunings show beside the shift of one tuned model."""

    recorded_only: ClassVar[frozenset[str]] = frozenset({"name"})

    name: str
    seed: int
    absent: dict[str, str] = Field(default_factory=dict)  # what cannot be given -> why


class MadeConfig(StageConfig):
    """Prompts or rows that are made of a tuning's rows."""

    control: str = "null-tuning"


def run(subject: Subject, out: Path, progress: Progress) -> Artefact:
    """The artefact `control-floors` of one tuned model, or why it has no such floors."""
    config = FloorsConfig(name=subject.name, seed=subject.seed)
    if reason := retune.why_not(subject):
        return _written(subject, config.resolve(absent={"floors": reason}), {}, {}, out)
    assert subject.tune is not None
    progress.say(
        f"{subject.name}: two more tunings for its floors, another seed and one on the base's own "
        f"answers; the first took {subject.tune.manifest['seconds']:,.0f} s."
    )
    rows = retune.rows_of(subject)
    assert rows is not None
    models = {"other_seed": tune_stage.run(_other_seed(subject), rows, out, progress)}
    null_rows = _null_rows(subject, rows, out, progress)
    absent = {} if null_rows.counts["done"] else {"null": NO_ANSWERS, "null_own": NO_ANSWERS}
    if not absent:
        models["null"] = tune_stage.run(_null(subject), null_rows, out, progress)
    texts, unasked = _own_texts(subject, models, out, progress)
    shifts = _shifts(subject, models, texts, out, progress)
    found = _found(subject, shifts, texts)
    found["null_rows"] = _about_null(subject.tune, null_rows, models.get("null"))
    config = config.resolve(absent={**unasked, **absent})
    return _written(subject, config, {**shifts, "null_rows": null_rows}, found, out)


def _other_seed(subject: Subject) -> TuneConfig:
    assert subject.tune is not None
    said = subject.tune.config
    return retune.settings(
        subject,
        name=f"{subject.name}, another seed",
        seed=said["seed"] + 1,
        shuffle_seed=said["shuffle_seed"] + 1,
    )


def _null(subject: Subject) -> TuneConfig:
    """Settings of the null tuning: its rows are those that were trained on, so none are drawn, and
    of several answers in a row only the last is the base's own."""
    return retune.settings(
        subject, name=f"{subject.name}, null", train_on="last", subset=None, token_budget=None,
        hold_out=0.0, hold_out_by=None, weights=None,
    )  # fmt: skip


def _null_rows(subject: Subject, rows: Artefact, out: Path, progress: Progress) -> Artefact:
    """The rows trained on, with the base's own greedy answer in place of the last one.

    Rows whose prompt leaves no room for an answer, or has an empty one, are left out and counted.
    """
    tune = subject.tune
    assert tune is not None
    answers = respond_stage.run(_base_answers(subject), _prompts(tune, rows, out), out, progress)
    given = (rows.as_input("rows"), answers.as_input("responses"))
    plan = Plan("rows", MADE_VERSION, {}, MadeConfig(), given)
    if found := artefact.find(out, plan):
        return found
    said = {row["row_index"]: row for row in answers.table("responses").to_pylist()}
    used = retune.trained(tune)
    chosen = [row for row in rows.table("rows").to_pylist() if row["row_index"] in used]
    records = []
    for row in chosen:
        text = said[row["row_index"]]["response"].strip() if row["row_index"] in said else ""
        if text:
            records.append({**row, "messages": [*row["messages"][:-1], message("assistant", text)]})
    counts = {
        "done": len(records),
        "skipped": {"no answer of the base": len(chosen) - len(records)},
        "unscored": {},
    }
    cut = sum(one["finish_reason"] == "length" for one in said.values())
    about = {"null_of": rows.id, "answers_cut": cut, "max_new_tokens": _longest(tune)}
    return _write(plan, "rows", records, counts, about, out)


def _base_answers(subject: Subject) -> RespondConfig:
    assert subject.tune is not None
    asked = {
        "model": subject.base, "name": "base", "template": retune.template_of(subject.tune),
        "max_new_tokens": _longest(subject.tune), "batch_size": subject.batch_size,
        "seed": subject.seed, "dtype": subject.dtype, "device": subject.device,
        "trust_remote_code": subject.trust_remote_code,
    }  # fmt: skip
    return build(RespondConfig, asked)


def _longest(tune: Artefact) -> int:
    split = tune.table("split").select(["part", "n_trained_tokens"]).to_pylist()
    lengths = [row["n_trained_tokens"] for row in split if row["part"] == "train"]
    return max(1, int(np.quantile(lengths, LONGEST)))


def _prompts(tune: Artefact, rows: Artefact, out: Path) -> Artefact:
    """The prompts of the rows that were trained on, as a `prompts-…` artefact."""
    given = (rows.as_input("rows"), tune.as_input("tune"))
    plan = Plan("prompts", MADE_VERSION, {}, MadeConfig(), given)
    if found := artefact.find(out, plan):
        return found
    used = retune.trained(tune)
    first: dict[str, int] = {}
    records = []
    for row in rows.table("rows").to_pylist():
        if row["row_index"] not in used:
            continue
        asked = {"messages": row["messages"][:-1], "tools": row["tools"]}
        prompt_id = f"p-{hash_json(asked)[:16]}"
        earlier = first.setdefault(prompt_id, row["row_index"])
        same = None if earlier == row["row_index"] else earlier
        kept = {name: held for name, held in row.items() if name != "row_id"}
        records.append({**kept, **asked, "prompt_id": prompt_id, "duplicate_of": same})
    counts = {"done": len(records), "skipped": {}, "unscored": {}}
    return _write(plan, "prompts", records, counts, {"prompts_of": rows.id}, out)


def _write(
    plan: Plan, table: str, records: list[dict[str, Any]], counts: dict[str, Any],
    about: dict[str, Any], out: Path,
) -> Artefact:  # fmt: skip
    with artefact.draft(out, plan) as draft:
        for index, start in enumerate(range(0, max(1, len(records)), PART_ROWS)):
            part = schema.from_rows(table, records[start : start + PART_ROWS])
            draft.write(index, {table: part})
        return draft.finish(counts, about)


def _own_texts(
    subject: Subject, models: dict[str, Artefact], out: Path, progress: Progress
) -> tuple[dict[str, Artefact], dict[str, str]]:
    """Each model's own answers to the subject's prompts, asked as the subject was; or why not."""
    if reason := _why_not_asked(subject):
        return {}, {f"{name}_own": reason for name in models}
    assert subject.prompts is not None
    texts = {}
    for name, tune in models.items():
        changed = {
            "model": str(tune.folder), "base": subject.base, "device": subject.device,
            "name": f"{subject.name}, {name.replace('_', ' ')}",
            "trust_remote_code": subject.trust_remote_code,
        }  # fmt: skip
        asked = build(RespondConfig, {**subject.responses.config, **changed})
        texts[name] = respond_stage.run(asked, subject.prompts, out, progress)
    return texts, {}


def _why_not_asked(subject: Subject) -> str | None:
    if "max_new_tokens" not in subject.responses.config:
        return (
            f"the answers of {subject.name} were given, so no other model can be asked in the same "
            "way; leave --responses out."
        )
    asked = [one["id"] for one in subject.responses.manifest["inputs"] if one["name"] == "prompts"]
    if subject.prompts is None or subject.prompts.id not in asked:
        return f"the prompts that {subject.name} answered are not given; add --prompts."
    return None


def _shifts(
    subject: Subject, models: dict[str, Artefact], texts: dict[str, Artefact], out: Path,
    progress: Progress,
) -> dict[str, Artefact]:  # fmt: skip
    """What is measured, by name; see `_found`."""

    def shift(base: str, tuned: str, name: str, text: Artefact) -> Artefact:
        asked = {**subject.shift_options(), "base": base, "tuned": tuned, "name": name}
        return shift_stage.run(build(ShiftConfig, asked), text, out, progress)

    folders = {name: str(model.folder) for name, model in models.items()}
    labels = {name: f"{subject.name}, {name.replace('_', ' ')}" for name in models}
    answers = subject.responses
    found = {"two_seeds": shift(folders["other_seed"], subject.tuned, subject.name, answers)}
    if "null" in models:
        found["null"] = shift(subject.base, folders["null"], labels["null"], answers)
    for name, text in texts.items():
        found[f"{name}_own"] = shift(subject.base, folders[name], labels[name], text)
    return found


def _found(
    subject: Subject, shifts: dict[str, Artefact], texts: dict[str, Artefact]
) -> dict[str, Any]:
    """headline: KL(tuned from base) on the tuned model's answers; two_seeds: KL(tuned from the
    other seed) on them; null: KL(null from base) on them; other_seed_own, null_own: KL(that model
    from base) on its own answers. Means per response and per token, and each beside the headline:
    paired over responses where the text is the same, over prompts where it is not.
    """
    tokens = subject.shift.table("tokens")
    prompt_of = prompts_of(subject.responses.table("responses"))
    mine, my_prompts = of_responses(tokens), of_prompts(tokens, prompt_of)
    found: dict[str, Any] = {"headline": _means(subject.shift)}
    for name, shift in shifts.items():
        table = shift.table("tokens")
        if name.endswith("_own"):
            theirs = prompts_of(texts[name.removesuffix("_own")].table("responses"))
            beside = compared(my_prompts, of_prompts(table, theirs), None, subject.seed)
        else:
            beside = compared(mine, of_responses(table), prompt_of, subject.seed)
        found[name] = {**_means(shift), **beside}
    return found


def _about_null(tune: Artefact, null_rows: Artefact, null: Artefact | None) -> dict[str, Any]:
    """The null's rows. Its loss at the first step, beside that on the rows themselves, proves that
    the base would say what it is tuned on: answers are written as text and tokenised again.
    """
    return {
        **{name: null_rows.about[name] for name in ("answers_cut", "max_new_tokens")},
        "n_rows": null_rows.counts["done"],
        "left_out": sum(null_rows.counts["skipped"].values()),
        "first_loss_nats": _first_loss(null) if null else None,
        "first_loss_of_rows_nats": _first_loss(tune),
    }


def _first_loss(tune: Artefact) -> float:
    return float(tune.table("loss").column("loss_nats")[0].as_py())


def _means(shift: Artefact) -> dict[str, Any]:
    kl = shift.about["summary"]["kl_tuned_base_nats"]
    return {"per_response": kl["per_response"], "per_token": kl["per_token"]}


def _written(
    subject: Subject, config: FloorsConfig, used: dict[str, Artefact], found: dict[str, Any],
    out: Path,
) -> Artefact:  # fmt: skip
    inputs = {"responses": subject.responses, "shift": subject.shift, **used}
    given = tuple(one.as_input(name) for name, one in inputs.items())
    plan = Plan("control-floors", VERSION, config.given(), config, given)
    if done := artefact.find(out, plan):
        return done
    about = {"control": "floors", "name": subject.name, "found": found, "absent": config.absent}
    n = found["two_seeds"]["n"] if found else 0
    counts: dict[str, Any] = {"done": n, "skipped": {}, "unscored": {}}
    with artefact.draft(out, plan) as draft:
        return draft.finish(counts, about)
