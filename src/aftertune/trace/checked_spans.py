"""What proof says of the spans that it checked, as shares of them (pure).

Proof checks the first spans in the order of a trace's page, so its shares are of those and not of
all spans: what stands first is what most looks borrowed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aftertune.controls.proof import columns
from aftertune.trace import controls
from aftertune.trace.families import first_to_look_at
from aftertune.trace.winners import spans_of

MASK, SWAP, CONFIRMED = "mask", "swap", "swap, then mask"
WAYS = (MASK, SWAP, CONFIRMED)
JOINTLY = ("one row", "several jointly")
PROPOSED, NOT_FROM_ROWS = "proposed", "not from the rows"
_SETTINGS = ("seeds", "most_rows", "share", "dtype")  # of a proof, that change what it can show

Record = Mapping[str, Any]
Key = tuple[str, int, int]  # response_id, char_start, char_end


@dataclass(frozen=True)
class Proof:
    """A `control-verify` artefact: its id, resolved config and `about`."""

    id: str
    config: Record
    about: Record


@dataclass(frozen=True)
class Checked:
    """The spans that one proof decided about or left open.

    way: of WAYS. responses, clusters (of the best row), outcomes: of each span. n_spans: how many
    the trace found; in_order: whether those checked are the first of them. not_asked: spans that
    swap could not ask about.
    """

    way: str
    proof: Proof
    responses: Sequence[str]
    clusters: Sequence[str]
    outcomes: Sequence[str]
    n_spans: int
    in_order: bool
    not_asked: int

    @property
    def caused(self) -> list[bool]:
        """Spans that rows caused; where only swap was asked, those that it proposes."""
        return [one in (*JOINTLY, PROPOSED) for one in self.outcomes]

    @property
    def most(self) -> list[bool]:
        """The same, with those counted that are undecided or unstable."""
        return [one != NOT_FROM_ROWS for one in self.outcomes]

    def as_json(self, seed: int) -> dict[str, Any]:
        """Shares of the checked spans, intervals over answers and rows; and the control."""
        sides = {
            "caused": self.caused,
            "not_from_rows": [one == NOT_FROM_ROWS for one in self.outcomes],
            "open": [a and not b for a, b in zip(self.most, self.caused, strict=True)],
        }
        return {
            "way": self.way,
            "proof": self.proof.id,
            "n": len(self.outcomes),
            "n_spans": self.n_spans,
            "in_order": self.in_order,
            "not_asked": self.not_asked,
            "counts": {name: self.outcomes.count(name) for name in dict.fromkeys(self.outcomes)},
            **{
                name: controls.over_both(values, self.responses, self.clusters).as_json()
                for name, values in sides.items()
            },
            "control": self._control(seed),
        }

    def _control(self, seed: int) -> dict[str, Any]:
        """What its rows and matched rows did: change of log-probability, nats; or runs (shares) in
        which the answer took their value."""
        found = self.proof.about["found"]
        if self.way != MASK:
            return {"unit": "share", "rows": found["own_tag"], "matched": found["control_tag"]}
        effects = columns(found["cases"])
        known = {key: one for key, one in effects.items() if one["effect"] is not None}
        of = [key[0] for key in known]
        rows, matched = (
            controls.over_responses([one[name] for one in known.values()], of, seed).as_json()
            for name in ("effect", "control_effect")
        )
        return {"unit": "nats", "rows": rows, "matched": matched}


def of_way(proofs: Sequence[Proof], borrowings: Sequence[dict[str, Any]]) -> dict[str, Checked]:
    """way -> the proof of that way that checked most spans, in the order of WAYS."""
    best = in_order(borrowings)
    found: dict[str, Checked] = {}
    for proof in proofs:
        if proof.about["control"] != "verify" or proof.about["found"]["way"] not in (MASK, SWAP):
            continue
        made = _checked(proof, best)
        if made.outcomes and len(made.outcomes) > len(found[made.way].outcomes if made.way in found
                                                      else ()):  # fmt: skip
            found[made.way] = made
    return {way: found[way] for way in WAYS if way in found}


def in_order(borrowings: Sequence[dict[str, Any]]) -> dict[Key, Record]:
    """Spans as the page shows them, with the best row that was tuned on."""
    best = {
        key: one for key, records in spans_of(borrowings).items() for one in records
        if (one["control"], one["rank"]) == (None, 1)
    }  # fmt: skip
    return {key: best[key] for key in sorted(best, key=lambda key: first_to_look_at(best[key]))}


def why_not(
    first: Mapping[str, Checked], second: Mapping[str, Checked], way: str
) -> str | None:  # fmt: skip
    """Why the shares of two models' checked spans cannot be subtracted."""
    if way not in first or way not in second:
        return "one of them has no such proof"
    one, other = first[way], second[way]
    unlike = [name for name in _SETTINGS
              if one.proof.config.get(name) != other.proof.config.get(name)]  # fmt: skip
    if unlike:
        return f"their proofs had other settings ({', '.join(unlike)})"
    if not (one.in_order and other.in_order):
        return "their spans were not chosen in the order of the page"
    asked = [len(side.outcomes) + side.not_asked for side in (one, other)]
    few = one if asked[0] < asked[1] else other
    if asked[0] != asked[1] and min(asked) < few.n_spans:
        return f"{asked[0]:,} spans of one were asked about and {asked[1]:,} of the other"
    return None


def _checked(proof: Proof, best: Mapping[Key, Record]) -> Checked:
    found = proof.about["found"]
    masked = {_key(one): one["outcome"] for one in found.get("confirmed", {}).get("cases", ())}
    outcomes = {_key(one): masked.get(_key(one), one["outcome"]) for one in found["cases"]}
    known = {key: one for key, one in outcomes.items() if one is not None}
    confirmed = "confirmed" in found
    return Checked(
        way=CONFIRMED if confirmed else found["way"],
        proof=proof,
        responses=[key[0] for key in known],
        clusters=[best[key]["cluster_id"] if key in best else str(key) for key in known],
        outcomes=list(known.values()),
        n_spans=len(best),
        in_order=set(outcomes) == set(list(best)[: len(outcomes)]),
        not_asked=len(outcomes) - len(known),
    )


def _key(one: Record) -> Key:
    return one["response_id"], one["char_start"], one["char_end"]
