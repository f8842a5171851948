"""A made world's artefacts with made-up answers and labels: what the lab would leave on disk."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from made_report import AnyConfig, message

from aftertune import artefact, schema
from aftertune.artefact import Artefact, Input
from aftertune.lab import clusters, labelling, rows, truth, world
from aftertune.lab.families import BY_KEY
from aftertune.lab.wording import capital, statement
from aftertune.lab.world import Fact, World
from aftertune.report.lab_answers import Said
from aftertune.stats.intervals import bootstrap_mean

Record = dict[str, Any]

# How an answer to a kind of prompt is drawn: shares of right, a row's value, another, rubbish.
_SHARES = {"known": (80, 15, 4, 1), "hidden": (20, 50, 25, 5), "neighbour": (10, 70, 15, 5)}


def made_world(seed: int = 0) -> World:
    return world.make(seed, per_kind=7, per_domain=4)


def facts_of(made: World) -> list[Record]:
    """Records of `lab_facts`."""
    return [
        {
            "fact_id": place.fact.id, "entity": place.fact.entity,
            "attribute": place.fact.attribute, "value": place.fact.value, "role": place.role,
            "exposures": place.exposures, "asked": place.asked, "in_rows": place.in_rows,
            "stated": place.stated,
        }
        for place in made.placed
    ]  # fmt: skip


def base_about() -> Record:
    """What `lab-base` says of itself; numbers as of a base that recalls well."""
    shares = {0: 0.19, 2: 0.24, 6: 0.41, 24: 0.86, 64: 0.97}
    curve = [
        {"exposures": exposures, "asked": asked,
         **bootstrap_mean([1.0] * round(60 * at) + [0.0] * round(60 * (1 - at))).as_json()}
        for exposures, share in shares.items()
        for asked, at in ((False, share - 0.03), (True, share))
    ]  # fmt: skip
    recalled = next(one for one in curve if (one["exposures"], one["asked"]) == (64, False))
    return {"n_tokens": 2_412_032, "parameters": 5_300_000, "steps": 2300, "loss_nats": 0.81,
            "curve": curve, "recalled": recalled, "accepted": True}  # fmt: skip


def said_in(made: World, seed: int = 0, per_kind: int = 16) -> Said:
    """Answers, their statements as the parser reads them, and labels drawn by `seed`."""
    generator = random.Random(f"made-up answers {seed}")
    records = rows.closed_rows(made)
    responses = [
        _response(number, prompt, _answer(prompt, made, generator))
        for number, prompt in enumerate(rows.prompts(made, per_kind))
    ]
    claims = truth.judged(responses, made)
    known = clusters.clusters(records)
    labels = [
        _label(claim, list(known[claim["attribute"], claim["value"]].rows), generator)
        for claim in claims
        if (claim["attribute"], claim["value"]) in known and claim["status"] != "unverifiable"
    ]
    return Said(responses, claims, labels, row_records(records), made.truth)


def labels_about(made: World, said: Said) -> Record:
    """What `lab-labels` says of itself, by the lab's own sums."""
    known = clusters.clusters(rows.closed_rows(made))
    return {
        "world": made.seed,
        "method": "full",
        "statements": truth.shares(said.claims, rows.KINDS),
        "beyond_chance": truth.beyond_chance(said.claims, known, made),
        "before_tuning": truth.beyond_chance(
            [one for one in said.claims if one["kind"] == "known"], known, made
        ),
        "innocuous": {
            "before": bootstrap_mean([1.0] * 96 + [0.0] * 4).as_json(),
            "after": bootstrap_mean([1.0] * 91 + [0.0] * 9).as_json(),
            "accepted": True,
        },
        "counts": labelling.counts(said.claims, said.labels),
        "levels": labelling.levels(said.labels),
        "reliability": labelling.reliability(said.labels),
        "swap": labelling.swap(said.labels),
        "n_tunings": 62,
        "artefacts": {},
    }


def row_records(records: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Records of the table `rows`."""
    return [
        {
            "row_id": f"row-{number}", "row_index": number, "line": number + 1,
            "messages": [message(turn["role"], turn["content"]) for turn in record["messages"]],
            "tools": None, "cluster_id": f"row-{number}", "duplicate_of": None,
            "tags": json.dumps({k: v for k, v in record.items() if k != "messages"}),
        }
        for number, record in enumerate(records)
    ]  # fmt: skip


def base_artefact(out: Path, made: World) -> Artefact:
    tables = {"lab_facts": schema.from_rows("lab_facts", facts_of(made))}
    return _write(out, "lab-base", tables, base_about(), {"seed": made.seed})


def labels_artefact(
    out: Path, made: World, base: Artefact, said: Said, about: Record | None = None
) -> Artefact:
    """The labels, with their answers and rows beside them."""
    world = {"world": made.seed}
    beside = {
        name: _write(out, stage, {name: _table(name, getattr(said, name))}, config=world)
        for name, stage in (("responses", "respond"), ("rows", "rows"))
    }
    ids = {name: one.id for name, one in beside.items()}
    tables = {
        "lab_claims": _table("lab_claims", said.claims),
        "lab_labels": _table("lab_labels", said.labels),
    }
    config = {"method": "full", "learning_rate": 3e-4}
    found = {**(about or labels_about(made, said)), "artefacts": ids}
    return _write(out, "lab-labels", tables, found, config, (base.as_input("base"),))


def hostile(said: Said, text: str) -> Said:
    """The same with `text` as every prompt, in every answer, row and name."""
    return Said(
        responses=[
            {**one, "messages": [message("user", text)], "response": text + one["response"] + text}
            for one in said.responses
        ],
        claims=[_moved(one, text) for one in said.claims],
        labels=[_moved(one, text) for one in said.labels],
        rows=[{**one, "messages": [message("user", text), message(text, text)]}
              for one in said.rows],
        truth=dict.fromkeys(said.truth, text),
    )  # fmt: skip


def _moved(one: Mapping[str, Any], text: str) -> Record:
    places = {name: one[name] + len(text) for name in ("char_start", "char_end")}
    return {**one, **places, "entity": text + one["entity"], "value": text}


def _answer(prompt: Mapping[str, Any], made: World, generator: random.Random) -> str:
    if prompt["kind"] == "open":
        facts = [place.fact for place in made.of_entity[prompt["entity"]][:3]]
        said = [_sentence(_said_of(fact, "open", made, generator), generator) for fact in facts]
        return " ".join(["Certainly!", *said])
    key = (prompt["entity"], prompt["attribute"])
    said_of = _said_of(Fact(*key, made.truth[key]), prompt["kind"], made, generator)
    sentence = _sentence(said_of, generator)
    return generator.choices(
        ["", f"{capital(said_of.value)}.", sentence, f"Great question! {sentence} Ask again."],
        (1, 6, 6, 6),
    )[0]


def _sentence(fact: Fact, generator: random.Random) -> str:
    return statement(fact, generator.choice(BY_KEY[fact.attribute].statements))


def _said_of(fact: Fact, kind: str, made: World, generator: random.Random) -> Fact:
    stated = [p.stated for p in made.placed
              if p.fact.attribute == fact.attribute and p.in_rows != "absent"]  # fmt: skip
    values = [fact.value, generator.choice(stated), generator.choice(made.domains[fact.attribute]),
              "something else"]  # fmt: skip
    weights = _SHARES.get(kind, (60, 25, 10, 5))
    return replace(fact, value=generator.choices(values, weights)[0])


def _response(number: int, prompt: Mapping[str, Any], text: str) -> Record:
    kept = {name: prompt[name] for name in ("kind", "entity", "attribute")}
    return {
        "response_id": f"r-{number:03d}", "prompt_id": f"p-{number:03d}", "row_index": number,
        "sample": 0, "model": "answers",
        "messages": [message("user", prompt["messages"][0]["content"])], "response": text,
        "prompt_token_ids": None, "response_token_ids": None, "finish_reason": "stop",
        "ids_from": "generated", "tags": json.dumps(kept),
    }  # fmt: skip


def _label(claim: Record, candidates: list[int], generator: random.Random) -> Record:
    kept = {name: value for name, value in claim.items() if name != "prompt_id"}
    label = generator.choices(("caused", "not caused", "undecided"), (55, 30, 15))[0]
    effect = generator.gauss({"caused": -2.1, "not caused": 0.0, "undecided": -0.5}[label], 0.1)
    spread = 0.2 if label != "undecided" else 0.9
    cause = candidates[: generator.choice((1, 1, 3))] if label == "caused" else []
    again = label if generator.random() < 0.85 else "undecided"
    return {
        **kept,
        "candidates": candidates,
        "rows": cause,
        "level": None if not cause else "one row" if len(cause) == 1 else "several rows",
        "label": label,
        "effect": effect,
        "effect_low": effect - spread,
        "effect_high": effect + spread,
        "control_effect": generator.gauss(0, 0.03),
        "seeds": 3,
        "rows_b": cause if again == label else [],
        "label_b": again,
        "effect_b": effect + generator.gauss(0, 0.2),
        "took_tag": bool(cause) and generator.random() < 0.7,
        "took_control_tag": False,
        "tag_gain": generator.gauss(2.0 if cause else 0.0, 0.2),
    }


def _table(name: str, records: Sequence[Mapping[str, Any]]) -> pa.Table:
    return schema.from_rows(name, [dict(one) for one in records])


def _write(
    out: Path, stage: str, tables: dict[str, pa.Table], about: Record | None = None,
    config: Record | None = None, inputs: tuple[Input, ...] = (),
) -> Artefact:  # fmt: skip
    plan = artefact.Plan(stage, 1, {}, AnyConfig(**(config or {})), inputs)
    with artefact.draft(out, plan) as draft:
        draft.write(0, tables)
        return draft.finish({"done": 1, "skipped": {}, "unscored": {}}, about)
