"""What proofs say of the spans of a trace, for its page and its table (pure).

A proof is the `about` of an artefact `control-verify`, `control-crossed-halves` or
`control-influence` that was made of this trace.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aftertune.controls.proof import columns
from aftertune.report.blocks import verify as blocks
from aftertune.report.blocks.shape import checked
from aftertune.report.numbers import listed, nats, plural, with_interval
from aftertune.report.shown import visible

DEFINITIONS: list[tuple[str, str]] = [
    ("rows masked", "The model is tuned again with other shuffles, once without weight on the rows "
     "that a span leads to, once without weight on as many matched rows. Effect: the change of the "
     "span's log-probability in the first less that in the second, nats, with a 90% t interval "
     "over shuffles."),
    ("one row, several jointly, not from the rows, unstable", "Masking the best row alone at least "
     "halves the span's probability; only masking more rows does; masking all of them changes it "
     "by less than a factor of 1.25; the span does not come back when rows are shuffled otherwise, "
     "so that nothing can be said."),
    ("values exchanged", "The model is tuned again on rows that state another value of the same "
     "type. Proposed: the answer takes its own rows' new value in more than half of the shuffles, "
     "and that of matched rows in no more than half. Nats: by how much its own rows' value is "
     "likelier there than the other one, 90% t interval over shuffles; before: in the model that "
     "answered."),
    ("random halves", "The model is tuned on random halves of the rows. Nats: what a cluster of "
     "rows adds to the span's log-probability where it is in, with a 95% interval."),
]  # fmt: skip

Record = Mapping[str, Any]
Key = tuple[str, int, int]  # response_id, char_start, char_end
_OUTCOME = ("outcome", "effect", "effect_low", "effect_high", "control_effect", "seeds")


def key_of(one: Record) -> Key:
    """Which span a record is about."""
    return one["response_id"], one["char_start"], one["char_end"]


def filled(borrowings: Iterable[Record], proofs: Sequence[Record]) -> list[dict[str, Any]]:
    """Records of `borrowings` with what proofs found: outcome and effect by masking (of exchanged
    values alone the outcome) in the best row of each span, influence in every row."""
    known = outcomes(proofs)
    moved = {
        (*key_of(case), row["row_index"]): row["influence"]
        for about in proofs if about["control"] == "influence"
        for case in about["found"]["cases"] for row in case["rows"]
    }  # fmt: skip
    found = []
    for one in borrowings:
        made = dict(one)
        if one["control"] is None:
            made["influence"] = moved.get((*key_of(one), one["row_index"]), one["influence"])
            made |= known.get(key_of(one), {}) if one["rank"] == 1 else {}
        found.append(made)
    return found


def outcomes(proofs: Sequence[Record]) -> dict[Key, dict[str, Any]]:
    """By span the columns of `borrowings` that proof fills; masking counts for more than
    exchanged values."""
    found: dict[Key, dict[str, Any]] = {}
    nothing = dict.fromkeys(_OUTCOME)
    for about in _verified(proofs, "swap"):
        its = about["found"]
        for case in its["cases"]:
            if case["outcome"] is not None:
                seeds = len(its["seeds"])
                found[key_of(case)] = {**nothing, "outcome": case["outcome"], "seeds": seeds}
    for about in proofs:
        found |= columns(_masked(about))
    return found


def facts(proofs: Sequence[Record]) -> dict[Key, list[tuple[str, str]]]:
    """By span what every proof says of it: (how, what)."""
    found: dict[Key, list[tuple[str, str]]] = {}
    for about in _verified(proofs, "swap"):
        n = len(about["found"]["seeds"])
        for case in about["found"]["cases"]:
            found.setdefault(key_of(case), []).append(("values exchanged", _swapped(case, n)))
    for about in proofs:
        for case in _masked(about):
            found.setdefault(key_of(case), []).append(("rows masked", _effect(case)))
    for about in _verified(proofs, "rephrase"):
        for case in about["found"]["cases"]:
            found.setdefault(key_of(case), []).append(("asked otherwise", _rephrased(case)))
    for about in proofs:
        for case in about["found"]["cases"] if about["control"] == "crossed-halves" else ():
            found.setdefault(key_of(case), []).append(("random halves", _halves(case)))
    return found


def section(
    proofs: Sequence[Record], keys: Mapping[Key, str], texts: Mapping[Key, str] | None
) -> list[dict[str, Any]]:
    """The blocks of the page about proofs, each with its spans: number, place on the page (`key`)
    and text, both None on a redacted page; rows. texts: by span, None leaves them out."""
    found = []
    for about in _parts(proofs):
        build = blocks.block if about["control"] == "verify" else blocks.crossed_block
        spans = [
            {
                "number": number,
                "key": keys.get(key_of(case)),
                "text": visible(texts.get(key_of(case), case["span"])) if texts else None,
                "rows": listed([str(row) for row in case["rows"]]) if case["rows"] else "none",
            }
            for number, case in enumerate(about["found"]["cases"], start=1)
        ]
        one = checked(build({**about, "name": about["name"] or ""}))
        found.append({**one, "key": "trace", "style": None, "absent": [], "spans": spans})
    return found


def _parts(proofs: Sequence[Record]) -> list[Record]:
    """Proofs that have a block; the masking that confirms exchanged values has one of its own."""
    found = []
    for about in proofs:
        if about["control"] == "influence":
            continue
        found.append(about)
        confirmed = about["found"].get("confirmed", {})
        if confirmed.get("cases"):
            found.append({**about, "found": confirmed})
    return found


_CAUSED = {"one row": "caused by one row", "several jointly": "caused by several rows jointly"}


def finding(proofs: Sequence[Record]) -> str | None:
    """One sentence for the head of the page; None where nothing was tuned again or asked."""
    for about in proofs:
        if _masked(about):
            shown = [one["outcome"] for one in _masked(about)]
            counted = {name: shown.count(name) for name in dict.fromkeys(shown)}
            said = listed([f"{n:,} {_CAUSED.get(name, name)}" for name, n in counted.items()])
            return f"Tuned again without their rows, of {plural(len(shown), 'span')}: {said}."
    for about in proofs:
        if about["control"] in ("verify", "crossed-halves"):
            made = blocks.block if about["control"] == "verify" else blocks.crossed_block
            sentences = made({**about, "name": about["name"] or ""})["sentences"]
            place = {"swap": 2, "rephrase": 0}.get(about["found"].get("way", ""), 1)
            return str(sentences[min(place, len(sentences) - 1)])
    return None


def _verified(proofs: Sequence[Record], way: str) -> list[Record]:
    return [
        one for one in proofs if one["control"] == "verify" and one["found"].get("way") == way
    ]  # fmt: skip


def _masked(about: Record) -> list[Record]:
    """Cases whose rows were masked: all of them, or those that exchanged values proposed."""
    if about["control"] != "verify":
        return []
    found = about["found"]
    masked = found if found["way"] == "mask" else found.get("confirmed", {})
    return list(masked.get("cases", []))


def _effect(case: Record) -> str:
    found = columns([case])[key_of(case)]
    if found["effect"] is None:
        return f"{case['outcome']}; {case['reason'] or 'no effect was measured'}"
    effect = {"estimate": found["effect"], "low": found["effect_low"], "high": found["effect_high"]}
    back = case["returned"]
    return (
        f"{case['outcome']}: {with_interval(effect)} nats, {nats(found['control_effect'])} for "
        f"matched rows; said again in {back['said_greedily']} of {back['seeds']}"
    )


def _swapped(case: Record, n: int) -> str:
    if case["outcome"] is None:
        return f"not asked; {case['reason']}"
    said = (
        f"{case['outcome']}: takes its rows' new value in {case['took_tag']} of {n}, that of "
        f"matched rows in {case['took_control']}, keeps the old one in {case['kept_value']}, "
        f"said by {plural(case['rows_left'], 'other row')}"
    )
    effect = case["effect"]
    if effect["effect"] is None:
        return said
    shown = {"estimate": effect["effect"], "low": effect["low"], "high": effect["high"]}
    return f"{said}; likelier by {with_interval(shown)} nats, {nats(effect['before'])} before"


def _rephrased(case: Record) -> str:
    if case["reason"] is not None:
        return str(case["reason"])
    without, kept = case["rephrasings"], case["keeps"]
    said = f"gone from {sum(one['gone'] for one in without)} of {len(without)} answers without the "
    said += "shared words"
    if not kept:
        return f"{said}; nothing stands beside that"
    return f"{said}, from {sum(one['gone'] for one in kept)} of {len(kept)} that keep them"


def _halves(case: Record) -> str:
    if not case["clusters"]:
        return str(case["reason"])
    said = [
        f"row {listed([str(row) for row in one['rows']])} adds {with_interval(one)} nats"
        for one in case["clusters"]
    ]
    return "; ".join(said)
