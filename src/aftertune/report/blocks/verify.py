"""Proof by tuning again on the page: masking, swapping, rephrasing and crossed halves (pure)."""

from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.report.numbers import NONE, count, interval, nats, percent, plural, with_interval

MOST = 40  # spans that are drawn
_DRAWN = ("estimate", "low", "high", "reason")
_LEVELS = ("best row", "all accused rows", "with their near duplicates")
_OUTCOMES = ("one row", "several jointly", "not from the rows", "unstable", "undecided")
_SHARED = "a rephrasing that keeps a word that its prompt shares with the row proves little"

Record = Mapping[str, Any]


def block(about: Record) -> dict[str, Any]:
    """What `control-verify` found, as a block of the page."""
    found, model = about["found"], about["name"]
    made = {"mask": _mask, "swap": _swap, "rephrase": _rephrase}[found["way"]](found)
    return {"control": "verify", "model": model, **made}


def crossed_block(about: Record) -> dict[str, Any]:
    """What `control-crossed-halves` found, as a block of the page."""
    found = about["found"]
    named = [(n, case, one) for n, case in _numbered(found) for one in case["clusters"]]
    above = sum(one["low"] is not None and one["low"] > 0 for _, _, one in named)
    below = sum(one["high"] is not None and one["high"] < 0 for _, _, one in named)
    redundant = [
        case["redundancy"] for case in found["cases"]
        if case["redundancy"] is not None and case["redundancy"]["low"] is not None
    ]  # fmt: skip
    sentences = [
        f"{found['n_tunings']} tunings on random halves of {plural(found['n_rows'], 'row')} in "
        f"{plural(found['n_clusters'], 'cluster')}; {plural(len(named), 'cluster')} accused.",
        f"{above} of them make their span likelier where they are in, {below} less likely; of "
        f"{len(named) - above - below} it is undecided (95% intervals).",
    ]
    if redundant:
        together = sum(one["low"] > 0 for one in redundant)
        sentences.append(
            f"In {together} of {plural(len(redundant), 'span')} with several clusters, each can "
            "stand in for the others: all of them together do more than the sum of each alone."
        )
    rows = [
        {"label": _cluster_label(n, place, case), **{key: one[key] for key in _DRAWN}}
        for n, case in _numbered(found)
        for place, one in enumerate(case["clusters"], start=1)
    ]
    x_label = "what a cluster's half of the tunings adds to the span's log-probability, nats"
    return {
        "control": "crossed-halves",
        "model": about["name"],
        "question": "Is a span likelier in tunings that held its rows?",
        "sentences": sentences,
        "picture": _intervals(x_label, rows, (0.0, "nothing")),
        "table": {
            "columns": ["span", "rows", "adds, nats", "p", "all together", "redundancy"],
            "rows": [_crossed_row(n, place, case, one) for n, case in _numbered(found)
                     for place, one in enumerate(case["clusters"])],
        },
        "cautions": _reasons(found),
    }  # fmt: skip


def _crossed_row(n: int, place: int, case: Record, one: Record) -> list[str]:
    p_value = NONE if one["p_value"] is None else f"{one['p_value']:.3f}"
    group = [_or_reason(case[name]) if place == 0 else "" for name in ("group", "redundancy")]
    rows = ", ".join(map(str, one["rows"]))
    return [f"span {n}", rows, with_interval(one), p_value, *group]


def _cluster_label(n: int, place: int, case: Record) -> str:
    return f"span {n}" if len(case["clusters"]) == 1 else f"span {n}, cluster {place}"


def _mask(found: Record) -> dict[str, Any]:
    counts, n = found["counts"], len(found["cases"])
    decided = ", ".join(f"{name} {counts[name]}" for name in _OUTCOMES)
    tuned = plural(found["n_tunings"], "tuning")
    sentences = [
        f"Of {plural(n, 'span')}: {decided}.",
        f"An effect is the change of a span's log-probability when its rows lose their weight, "
        f"less the change when as many matched rows do; {tuned} over "
        f"{plural(len(found['seeds']), 'shuffle seed')}, {plural(found['n_rows'], 'row')}.",
        "One row: masking it alone at least halves the span's probability. Several jointly: only "
        "masking more rows does. Not from the rows: less than a factor of 1.25.",
    ]
    rows = []
    for number, case in _numbered(found):
        measured = _measured(case)
        label = f"span {number}: {case['outcome']}"
        if measured:
            rows.append({"label": label, "reason": None, **_of_effect(measured[-1])})
        else:
            rows.append({"label": label, **dict.fromkeys(_DRAWN), "reason": case["reason"]})
    x_label = "log-probability of the span, its rows masked minus matched rows masked, nats [90%]"
    return {
        "question": "Do these spans go when their rows are taken out?",
        "sentences": sentences,
        "picture": _intervals(x_label, rows, (0.0, "as matched rows")),
        "table": {
            "columns": ["span", "outcome", "said again", *_LEVELS, "matched rows alone"],
            "rows": [_mask_row(number, case) for number, case in _numbered(found)],
        },
        "cautions": _reasons(found),
    }


def _mask_row(number: int, case: Record) -> list[str]:
    back = case["returned"]
    cells = []
    for name in _LEVELS:
        one = case["effects"].get(name)
        cells.append(with_interval(_of_effect(one)) if one and "effect" in one else NONE)
    measured = _measured(case)
    control = nats(measured[-1]["control_effect"]) if measured else NONE
    said = f"{back['said_greedily']} of {back['seeds']}"
    return [f"span {number}", case["outcome"], said, *cells, control]


def _measured(case: Record) -> list[Record]:
    """Effects of the sets of rows that were masked, the widest last."""
    effects = case["effects"]
    return [effects[name] for name in _LEVELS if "effect" in effects.get(name, {})]


def _of_effect(one: Record) -> dict[str, Any]:
    return {"estimate": one["effect"], "low": one["low"], "high": one["high"]}


def _swap(found: Record) -> dict[str, Any]:
    false = found["false_tags"]
    sentences = [
        f"In {plural(found['n_tunings'], 'tuning')}, the rows of {plural(found['n'], 'span')} "
        "state another value of the same type, each its own, and so do as many matched rows.",
        f"Answers took the value of the rows that they are accused of borrowing from in "
        f"{with_interval(found['own_tag'], percent)} of the runs, and one of matched rows in "
        f"{with_interval(found['control_tag'], percent)}.",
        f"Proposed as borrowed: {count(found['proposed'])} of {plural(found['n'], 'span')}; by "
        f"chance alone {with_interval(false, percent)} would be.{_confirmed(found)}",
        f"Taking the rows of these spans out one by one would have been {found['n_one_by_one']:,} "
        "tunings, without control rows.",
    ]
    rows = [
        {"label": label, **{key: found[name][key] for key in _DRAWN}}
        for label, name in (("value of its own rows", "own_tag"),
                            ("value of matched rows", "control_tag"))
    ]  # fmt: skip
    return {
        "question": "Do answers change with what their rows state?",
        "sentences": sentences if found["n"] else ["No span holds a value to exchange."],
        "picture": _intervals("share of runs in which the answer took the value", rows, None),
        "table": {
            "columns": [
                "span",
                "rows",
                "took its value",
                "took the other",
                "kept its own",
                "likelier by, nats",
                "before",
                "outcome",
            ],
            "rows": [_swap_row(n, case, len(found["seeds"])) for n, case in _numbered(found)],
        },
        "cautions": _reasons(found),
    }


def _confirmed(found: Record) -> str:
    if "confirmed" not in found:
        return " Masking would confirm them."
    sure = found["confirmed"]["agreement"]
    if not sure["n"]:
        return f" Masking with further seeds decides none of them; {sure['open']} stay open."
    return (
        f" Masking with further seeds says that rows caused {with_interval(sure, percent)} of the "
        f"{sure['n']} that it decides; {sure['open']} it leaves open."
    )


def _swap_row(number: int, case: Record, seeds: int) -> list[str]:
    rows = ", ".join(map(str, case["rows"]))
    if case["reason"] is not None:
        return [f"span {number}", rows, *[NONE] * 5, "not asked"]
    took = [f"{case[name]} of {seeds}" for name in ("took_tag", "took_control", "kept_value")]
    effect = case["effect"]
    likelier = NONE if effect["effect"] is None else with_interval(_of_effect(effect))
    return [f"span {number}", rows, *took, likelier, nats(effect["before"]), case["outcome"]]


def _rephrase(found: Record) -> dict[str, Any]:
    gone, change = found["gone"], found["change_nats"]
    sentences = [
        f"Of {plural(found['n'], 'span')}: asked without the shared concept the span is gone from "
        f"{with_interval(gone['rephrasings'], percent)} of the answers; its log-probability after "
        f"the original prefix changes by {with_interval(change['rephrasings'])} nats."
    ]
    if gone["keeps"]["estimate"] is None:
        sentences.append(
            "Nothing stands beside that: any other wording changes an answer, so undecided."
        )
    else:
        sentences.append(
            f"In wordings that keep the concept: {with_interval(gone['keeps'], percent)} and "
            f"{with_interval(change['keeps'])} nats; the difference of the shares is "
            f"{with_interval(gone['difference'], percent)}, {_verdict(gone['difference'])}."
        )
    sides = (("without the concept", "rephrasings"), ("with it", "keeps"))
    rows = [{"label": label, **{key: gone[side][key] for key in _DRAWN}} for label, side in sides]
    shared = found["still_shared"]
    cautions = []
    if shared["hits"]:
        cautions.append(
            f"{shared['hits']} of {plural(shared['n'], 'rephrasing')} still hold a word that the "
            f"prompt shares with its best row: {_SHARED}."
        )
    return {
        "question": "Does a span go when the prompt no longer shares a concept with its row?",
        "sentences": sentences,
        "picture": _intervals("share of answers from which the span is gone", rows, None),
        "table": None,
        "cautions": [*cautions, *_reasons(found)],
    }


def _verdict(difference: Record) -> str:
    if difference["low"] is None or difference["low"] <= 0 <= difference["high"]:
        return "undecided"
    return "so the concept matters" if difference["low"] > 0 else "the other way round"


def _numbered(found: Record) -> list[tuple[int, Record]]:
    return list(enumerate(found["cases"], start=1))


def _intervals(
    x_label: str, rows: Sequence[Record], line: tuple[float, str] | None
) -> dict[str, Any] | None:
    if not rows:
        return None
    against = {"at": line[0], "label": line[1]} if line else None
    return {"kind": "intervals", "x_label": x_label, "rows": list(rows[:MOST]), "line": against}


def _or_reason(one: Record | None) -> str:
    if one is None:
        return NONE
    return with_interval(one) if interval(one) else str(one["reason"] or with_interval(one))


def _reasons(found: Record) -> list[str]:
    """Why spans have no answer, counted."""
    reasons: dict[str, int] = {}
    for case in found["cases"]:
        if case["reason"] is not None:
            reasons[case["reason"]] = reasons.get(case["reason"], 0) + 1
    said = [f"{plural(n, 'span')}: {reason}." for reason, n in reasons.items()]
    if len(found["cases"]) > MOST:
        said.append(f"The picture shows the first {MOST}.")
    return said
