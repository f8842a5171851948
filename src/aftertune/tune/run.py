"""The stage `tune`: rows and a base in, a tuned checkpoint or adapter out, with its batch plan.

Tables: `split` (which rows were trained on), `batch_plan` (which row stood where), `loss` (one
line per step). Files: `model/`, and `template.jinja`, the template's source.

Weights are trained in float32, matrix products taken in bfloat16 where the processor multiplies
it. A full checkpoint under a billion parameters is saved in float32, since rounding to 16 bits
moves weights more than a cautious tuning does; larger ones in their base's dtype.

Several processes share the micro-batches of every step; split, batch plan and id are those of one.
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aftertune import artefact, parallel, schema
from aftertune.artefact import Artefact, Draft, Input
from aftertune.data import templates
from aftertune.data.templates import Template
from aftertune.errors import ArtefactError, ConfigError, InputError, ModelError
from aftertune.models.identity import identity
from aftertune.models.load import load_tokenizer
from aftertune.models.precision import (
    choose_device,
    choose_dtype,
    environment,
    parameter_count,
    stored_dtype,
)
from aftertune.models.reference import ModelRef, local, resolve
from aftertune.progress import Progress
from aftertune.tune import batches, weights
from aftertune.tune import model as models
from aftertune.tune.checkpoints import full_disk_as_oserror
from aftertune.tune.config import PLAN_FIELDS, TuneConfig
from aftertune.tune.prepare import Prepared, prepare
from aftertune.tune.trainer import train

VERSION = 2  # a micro-batch's noise follows from its place in the plan


def run(config: TuneConfig, rows: Artefact, out: Path, progress: Progress) -> Artefact:
    """Tune, or go on with a tuning that was interrupted, or find it done.

    Raises ConfigError, InputError, ModelError and TemplateError; TemplateError before any
    training, when the self-test finds that the wrong tokens would be trained.
    """
    ref = local(resolve(config.base))
    if ref.kind == "adapter":
        raise ModelError(f"{config.base} is an adapter; merge it into its base and tune that.")
    device = choose_device(config.device)
    models.check_hardware(config, device)
    tokenizer = load_tokenizer(ref, trust_remote_code=config.trust_remote_code)
    template = templates.get(config.template, tokenizer)
    taken = _taken(config)
    resolved = config.resolve(
        template=template.name,
        dtype=choose_dtype(config.dtype, device, parameter_count(ref), "train", stored_dtype(ref)),
        save_dtype="float32" if models.save_dtype(config, ref) == "float32" else "base",
        target_modules=config.target_modules
        if isinstance(config.target_modules, str) else sorted(set(config.target_modules)),
        **_settings_of(taken, config),
    )  # fmt: skip
    inputs = [identity(ref).as_input("base"), rows.as_input("rows"),
              Input("template", template.sha256, template.sha256, template.name)]  # fmt: skip
    given: dict[str | int, float] = {}
    if config.weights:
        given = weights.read(config.weights)
        sha256 = artefact.hash_file(config.weights)
        inputs.append(Input("weights", sha256, sha256, str(config.weights)))
    if taken:
        inputs.append(taken.as_input("take_plan"))
    recorded = environment(device, parallel.group().size)
    plan = artefact.Plan("tune", VERSION, config.given(), resolved, tuple(inputs), recorded)
    if found := artefact.find(out, plan):
        return found
    row_weights = weights.per_row(given, _places(rows))
    with artefact.draft(out, plan) as draft:
        if draft.restarted:
            progress.warn(f"an unfinished tuning starts again from nothing: {draft.restarted}.")
        prepared = prepare(rows, resolved, template, tokenizer, row_weights, taken, progress)
        _write_plan(draft, prepared, template)
        _tell(prepared, progress)
        about = _train(draft, resolved, prepared, ref, tokenizer, progress)
        about |= {
            "method": resolved.method,
            "learning_rate": resolved.learning_rate,
            "base": identity(ref).describe(),
            "template": {"name": template.name, "kind": template.kind, "sha256": template.sha256},
            "self_test": asdict(prepared.self_test),
            "shown_row": prepared.shown.plain,
            "unverified": ["4-bit base: never run on a GPU by this project"]
            if resolved.quantize else [],
        }  # fmt: skip
        return draft.finish(prepared.counts(), about)


def _train(
    draft: Draft,
    config: TuneConfig,
    prepared: Prepared,
    ref: ModelRef,
    tokenizer: Any,
    progress: Progress,
) -> dict[str, Any]:
    """Train, write table `loss` and the folder `model`; what is worth knowing about it."""
    device = choose_device(config.device)
    steps = batches.steps(prepared.uses)
    _warn_of_idle(max(map(len, steps)), progress)
    model = models.build(config, ref, device, progress)
    sizes = models.parameters(model)
    start = time.monotonic()
    with full_disk_as_oserror(draft.folder):
        records = train(
            model, tokenizer, prepared.encoded, steps, config, device, draft.scratch, progress
        )
    seconds = time.monotonic() - start
    lines = _loss_lines(records, prepared)
    n_tokens = sum(line["n_tokens"] for line in lines)
    draft.write(0, {"loss": schema.from_rows("loss", lines)})
    if parallel.group().first:
        dtype = models.save_dtype(config, ref)
        with full_disk_as_oserror(draft.folder):
            models.save(model, tokenizer, dtype, ref, draft.folder / "model")
    progress.say(
        f"tuned on {n_tokens:,} tokens in {len(steps)} steps and {seconds:.0f} s; loss "
        f"{lines[0]['loss_nats']:.3f} at the first step, {lines[-1]['loss_nats']:.3f} at the last."
    )
    return {**sizes, "steps": len(steps), "n_tokens": n_tokens,
            "n_trained_tokens": sum(line["n_trained_tokens"] for line in lines)}  # fmt: skip


def _warn_of_idle(most: int, progress: Progress) -> None:
    size = parallel.group().size
    if most < size:
        progress.warn(
            f"a step has at most {most} micro-batches for {size} processes, so some have nothing "
            "to do; lower micro_batch_tokens to cut steps into more."
        )


def _loss_lines(records: list[dict[str, float]], prepared: Prepared) -> list[dict[str, Any]]:
    """Records of the table `loss`; an epoch is as many uses as there are rows."""
    per_epoch = prepared.rows_per_epoch()
    lines = []
    used = 0
    steps = batches.steps(prepared.uses)
    for number, (record, step) in enumerate(zip(records, steps, strict=True), start=1):
        members = [prepared.encoded[index] for micro in step for index in micro]
        used += len(members)
        lines.append(
            {
                "step": number,
                "epoch": used / per_epoch,
                "loss_nats": record["loss"],
                "grad_norm": record["grad_norm"],
                "learning_rate": record["learning_rate"],
                "n_trained_tokens": sum(row.n_trained for row in members),
                "n_tokens": sum(len(row.ids) for row in members),
            }
        )
    return lines


def _write_plan(draft: Draft, prepared: Prepared, template: Template) -> None:
    if not draft.has(0, ["split", "batch_plan"]):
        plan = [use._asdict() for use in prepared.uses]
        draft.write(0, {"split": schema.from_rows("split", prepared.split),
                        "batch_plan": schema.from_rows("batch_plan", plan)})  # fmt: skip
    artefact.write_durably(
        draft.folder / "template.jinja",
        lambda path: path.write_text(template.source, encoding="utf-8"),
    )


def _tell(prepared: Prepared, progress: Progress) -> None:
    counts = prepared.counts()
    sentence = f"{counts['done']:,} rows to tune on"
    if counts["held_out"]:
        sentence += f", {counts['held_out']:,} held out"
    for reason, number in counts["skipped"].items():
        sentence += f", {number:,} left out ({reason.rstrip('.')})"
    progress.say(f"{sentence}. One of them, what is trained between ⟦ and ⟧:")
    # a terminal that can colour does; any other shows the same marks without
    show = getattr(progress, "show", None)
    if show is None:
        progress.say(prepared.shown.plain)
    else:
        show(prepared.shown)
    if counts["cut_rows"]:
        progress.warn(
            f"{counts['cut_rows']:,} rows lose {counts['cut_tokens']:,} tokens to the length "
            "limit; raise max_length to keep them."
        )


def _taken(config: TuneConfig) -> Artefact | None:
    if config.take_plan is None:
        return None
    taken = artefact.open_artefact(config.take_plan)
    if taken.stage != "tune":
        raise ArtefactError(f"{config.take_plan} is no tune-… artefact; take_plan needs one.")
    return taken


def _settings_of(taken: Artefact | None, config: TuneConfig) -> dict[str, Any]:
    """The settings that the plan taken over was made with: they hold for this run too."""
    if taken is None:
        return {}
    # one that was made before a field existed had its default
    defaults = {name: TuneConfig.model_fields[name].default for name in PLAN_FIELDS}
    theirs = {name: taken.config.get(name, defaults[name]) for name in PLAN_FIELDS}
    for name in sorted(config.model_fields_set & theirs.keys()):
        if getattr(config, name) != theirs[name]:
            raise ConfigError(
                f"{name} is {getattr(config, name)}, but the plan of {config.take_plan} was made "
                f"with {theirs[name]}; leave {name} out."
            )
    # the plan is an input, named by its content; as a setting it would forbid its own hold_out
    return {**theirs, "take_plan": None}


def _places(rows: Artefact) -> list[tuple[str, int]]:
    if rows.stage != "rows":
        raise InputError(f"{rows.folder} is no rows-… artefact; tuning needs one.")
    table = rows.table("rows")
    return list(zip(table["row_id"].to_pylist(), table["row_index"].to_pylist(), strict=True))
