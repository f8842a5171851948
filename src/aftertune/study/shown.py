"""What the pages of a study are told, as JSON. What is hidden of an item never passes here."""

from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.errors import InputError
from aftertune.study import agreement_so_far
from aftertune.study.agreement_so_far import Disagreement
from aftertune.study.answers import LABELS, OUTCOMES, as_stored
from aftertune.study.store import Person, Saved, Store

Shown = dict[str, Any]


def study(store: Store, person: Person) -> Shown:
    """What a rater's page needs once: what is asked, and the items in order."""
    return {
        "name": store.settings.get("name", "study"),
        "study_id": f"{store.settings.get('created', '')} {store.settings.get('seed', '')}",
        "kind": store.kind,
        "aspects": store.aspects,
        "guidelines": store.settings.get("guidelines") or "",
        "labels": LABELS,
        "person": {"name": person.name, "role": person.role, "person_id": person.person_id},
        "items": _items_of(store, person),
    }


def item(store: Store, person: Person, item_id: str) -> Shown:
    """One item as this person sees it. Raises InputError where it is not theirs."""
    found = store.item(item_id)
    swapped = store.swapped(person.person_id, item_id)
    adjudicates = person.role == "adjudicator"
    if found is None or (swapped is None and not adjudicates):
        raise InputError(f"the item {item_id!r} is not one of yours.")
    answers = found["shown"]["answers"]
    rating = store.rating_of(person.person_id, item_id)
    told: Shown = {
        "item_id": item_id,
        "kind": found["kind"],
        "prompt": found["shown"]["prompt"],
        "answers": answers[::-1] if swapped else answers,
        "candidates": found["shown"].get("candidates", []),
        "search": store.has_rows,
        "asks_cause": store.asks_cause(found),
        "pilot": bool(found["pilot"]),
        "rating": rating and {k: rating[k] for k in ("rating_id", "answer", "note", "seconds")},
        "feedback": found["feedback"] if rating and found["pilot"] else None,
    }
    if found["kind"] == "outcomes":
        told["outcomes"] = _outcomes(bool(swapped))
    if adjudicates:
        told["raters"] = _raters(store, item_id, bool(swapped))
    return told


def saved(store: Store, done: Saved, item_id: str) -> Shown:
    """That a rating is on disk; with what the organisers say of an item of the pilot."""
    found = store.item(item_id)
    feedback = found["feedback"] if found and found["pilot"] else None
    return {"rating_id": done.rating_id, "saved": True, "again": done.again, "feedback": feedback}


def overview(store: Store) -> Shown:
    """For the organiser: progress, agreement so far, and where people disagree."""
    ratings, texts, requests = _that_count(store)
    apart = agreement_so_far.disagreements(store.kind, ratings, texts)
    done = _adjudicated(store)
    return {
        "name": store.settings.get("name", "study"),
        "kind": store.kind,
        "created": store.settings.get("created"),
        "people": store.progress(),
        "adjudicators": [p.name for p in store.people() if p.role == "adjudicator"],
        "n_items": sum(not i["pilot"] and not i["repeat_of"] for i in store.items()),
        "n_rated": len({one["item_id"] for one in ratings}),
        "agreement": agreement_so_far.agreement(store.kind, ratings, texts),
        "disagreements": [
            {
                "item_id": one.item_id, "distance": one.distance, "about": one.about,
                "request": requests[one.item_id], "adjudicated": one.item_id in done,
            }
            for one in apart
        ],
    }  # fmt: skip


def compared(store: Store, item_id: str) -> Shown:
    """For the organiser: one item with what everybody said of it, models still hidden."""
    found = store.item(item_id)
    if found is None:
        raise InputError(f"there is no item {item_id!r} in this study.")
    told = {
        "item_id": item_id,
        "kind": found["kind"],
        "prompt": found["shown"]["prompt"],
        "answers": found["shown"]["answers"],
        "raters": _raters(store, item_id, False, named=True),
    }
    return told | ({"outcomes": _outcomes(False)} if found["kind"] == "outcomes" else {})


def _items_of(store: Store, person: Person) -> list[Shown]:
    keys = ("item_id", "batch", "pilot", "rated")
    given = [{key: one[key] for key in keys} for one in store.assignments(person.person_id)]
    if person.role != "adjudicator":
        return given
    own = {one["item_id"] for one in given}
    done = _adjudicated(store, person.person_id)
    ratings, texts, _ = _that_count(store)
    apart: Sequence[Disagreement] = agreement_so_far.disagreements(store.kind, ratings, texts)
    listed = dict.fromkeys([*(one.item_id for one in apart), *sorted(done)])
    return given + [
        {"item_id": name, "batch": 1, "pilot": 0, "rated": int(name in done)}
        for name in listed
        if name not in own
    ]


def _that_count(store: Store) -> tuple[list[Shown], dict[str, str], dict[str, str]]:
    """Annotators' current ratings without pilot and repeats; first answers; last requests."""
    items = {one["item_id"]: one for one in store.items()}
    counted = {name for name, one in items.items() if not one["pilot"] and not one["repeat_of"]}
    ratings = [
        one
        for one in store.current_ratings()
        if one["role"] == "annotator" and one["item_id"] in counted
    ]
    texts = {name: items[name]["shown"]["answers"][0] for name in counted}
    requests = {name: _request(items[name]["shown"]["prompt"]) for name in counted}
    return ratings, texts, requests


def _adjudicated(store: Store, person_id: str | None = None) -> set[str]:
    return {
        one["item_id"]
        for one in store.current_ratings()
        if one["role"] == "adjudicator" and person_id in (None, one["person_id"])
    }


def _raters(store: Store, item_id: str, swapped: bool, named: bool = False) -> list[Shown]:
    """What annotators said, with sides as they stand on the reader's screen."""
    found = store.item(item_id)
    assert found is not None
    return [
        {
            "name": one["name"] if named else f"rater {number}",
            "answer": as_stored(found["kind"], one["answer"], bool(one["swapped"]) != swapped),
            "note": one["note"],
        }
        for number, one in enumerate(
            (one for one in store.current_ratings(item_id) if one["role"] == "annotator"), start=1
        )
    ]


def _outcomes(swapped: bool) -> list[Shown]:
    subject, other = (2, 1) if swapped else (1, 2)
    return [
        {"value": value, "text": text.format(subject=subject, other=other)}
        for value, text in OUTCOMES.items()
    ]


def _request(prompt: Sequence[Mapping[str, Any]]) -> str:
    users = [one["content"] or "" for one in prompt if one["role"] == "user"]
    return str(users[-1])[:200] if users else ""
