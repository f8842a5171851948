"""From the artefacts' tables and manifests to everything that the page shows (pure).

The result is one plain dict of JSON values; nothing in it needs to be computed again. Statistics
come from `shift.summary` and `stats.intervals`; here they are only chosen, paired and named.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from aftertune.report import (
    comparison,
    controls,
    how,
    lin2024,
    numbers,
    places,
    rows,
    sentences,
    side_by_side,
)
from aftertune.report.config import ReportConfig
from aftertune.report.facts import model_facts
from aftertune.report.frequent import frequent
from aftertune.report.model_tables import Manifest, ModelTables
from aftertune.report.shown import all_visible

CATEGORIES = ("unshifted", "marginal", "shifted")
LOSS_POINTS = 150  # of a curve; longer ones are averaged over neighbouring steps


def build(
    config: ReportConfig,
    models: Sequence[ModelTables],
    version: str,
    rows_manifest: Manifest | None = None,
    prompts_manifest: Manifest | None = None,
    overlap: Mapping[str, Any] | None = None,
    control_manifests: Sequence[Manifest] = (),
) -> dict[str, Any]:
    """Everything on the page. Texts are absent where `config.redact` is set."""
    shown = [model(config, given, style) for style, given in enumerate(models)]
    compared = comparison.pairs(models, shown, config.seed)
    prompts = side_by_side.prompts_of(models)
    manifests = [
        (f"{kind} {given.name}", manifest)
        for given in models
        for kind, manifest in (
            ("shift", given.shift),
            ("respond", given.respond),
            ("tune", given.tune),
        )
        if manifest
    ]
    manifests += [(_control_label(manifest), manifest) for manifest in control_manifests]
    others = {
        name: manifest
        for name, manifest in (("rows", rows_manifest), ("prompts", prompts_manifest))
        if manifest
    }
    found = {
        "title": config.title,
        "version": version,
        "redacted": config.redact,
        "subtitle": _subtitle(shown, len(prompts)),
        "conclusion": {
            "findings": sentences.findings(shown, compared),
            "cautions": sentences.cautions(shown, compared),
        },
        "models": shown,
        "pairs": compared,
        "table": comparison.table(shown),
        "controls": controls.section(control_manifests, {m["name"]: m["style"] for m in shown}),
        "no_controls": controls.NONE_RUN,
        "places": places.tables(shown),
        "n_frequent": config.n_frequent,
        "n_prompts": len(prompts),
        "answers": None if config.redact else side_by_side.section(config, models, prompts),
        "rows": rows.section(rows_manifest, prompts_manifest, overlap),
        "how": {
            "definitions": how.definitions(),
            "scored": how.scored(shown),
            "lin2024": lin2024.table({given.name: given.shift["about"] for given in models}),
            "inputs": how.inputs(manifests, others, config.redact),
            "versions": how.versions([m for _, m in manifests]),
        },
    }
    return {name: all_visible(value) for name, value in found.items()}


def model(config: ReportConfig, given: ModelTables, style: int) -> dict[str, Any]:
    """One model's facts and numbers."""
    about = given.shift["about"]
    summary, noise = about["summary"], about["noise"]
    kl = summary["kl_tuned_base_nats"]
    n_answers = given.responses.num_rows
    return {
        "name": given.name,
        "style": style,
        **model_facts(given.shift, given.respond, given.tune),
        "kl": kl["per_token"],
        "kl_per_answer": kl["per_response"],
        "base_prob": summary["base_prob_of_tuned_argmax"]["per_token"],
        "base_rank": summary["base_rank_of_tuned_argmax"]["per_token"],
        "shares": {name: summary["categories"][name]["share"] for name in CATEGORIES},
        "shares_worst": {
            name: summary["categories"][name]["share_worst_tie_rank"] for name in CATEGORIES
        },
        "n_ranked": sum(summary["categories"][name]["n"] for name in CATEGORIES),
        "floor": noise["floor_nats"],
        "floor_kind": noise["floor_kind"],
        "along": summary["along"],
        "where": _where(about.get("where"), config.redact),
        "sentence_start": summary["sentence_start"]["first"],
        "sentence_rest": summary["sentence_start"]["rest"],
        "frequent": None
        if config.redact
        else frequent(
            summary["frequent"],
            (about.get("where") or {}).get("frequent_words"),
            side_by_side.texts(given),
            config.n_frequent,
        ),
        "n_answers": n_answers,
        "n_scored": summary["n_responses"],
        "n_tokens": summary["n_tokens"],
        "mean_length": summary["n_tokens"] / summary["n_responses"]
        if summary["n_responses"]
        else None,
        "finish": _counted(given.responses.column("finish_reason")),
        "n_encoded": _counted(given.responses.column("ids_from")).get("encoded", 0),
        "n_empty": sum(not text.strip() for text in given.responses.column("response").to_pylist()),
        "unscored": {**given.shift["counts"]["skipped"], **given.shift["counts"]["unscored"]},
        "n_rows": given.tune["counts"].get("done") if given.tune else None,
        "n_steps": given.tune["about"].get("steps") if given.tune else None,
        "loss": [] if given.loss is None else _curve(given.loss),
    }


def _where(found: Mapping[str, Any] | None, redact: bool) -> Mapping[str, Any] | None:
    """Where the shift is, its words apart; a redacted page has no tags: their values are texts."""
    if not found:
        return None
    kept = {name: value for name, value in found.items() if name != "frequent_words"}
    return {**kept, "tags": {}, "tags_left_out": {}} if redact else kept


def _subtitle(models: Sequence[Mapping[str, Any]], n_prompts: int) -> str:
    bases = list(dict.fromkeys(m["base"] for m in models))
    return (
        f"{numbers.plural(len(models), 'tuned model')} against "
        f"{', '.join(bases) or 'no base'}, on {numbers.plural(n_prompts, 'prompt')}."
    )


def _control_label(manifest: Manifest) -> str:
    name = manifest["about"].get("name") or manifest["about"].get("names") or ""
    words = name if isinstance(name, str) else numbers.listed(list(name))
    return f"{manifest['stage']} {words}".strip()


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    counted = column.value_counts().to_pylist()
    return {
        entry["values"]: entry["counts"]
        for entry in sorted(counted, key=lambda e: str(e["values"]))
    }


def _curve(loss: pa.Table) -> list[tuple[float, float]]:
    """(epoch, loss) of at most LOSS_POINTS points; a point is the mean over its steps."""
    epoch = loss.column("epoch").to_numpy()
    value = loss.column("loss_nats").to_numpy()
    blocks = min(len(value), LOSS_POINTS)
    edges = [len(value) * k // blocks for k in range(blocks + 1)] if blocks else [0]
    return [
        (float(epoch[a:b].mean()), float(value[a:b].mean()))
        for a, b in pairwise(edges)
        if np.isfinite(value[a:b]).all()
    ]
