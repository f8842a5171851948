"""Made-up annotators, who rate the items of a study as a test wants them to."""

import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aftertune import schema
from aftertune.artefact import Artefact, Input, Plan, draft, hash_json
from aftertune.config import StageConfig
from aftertune.study.answers import Rating, as_stored
from aftertune.study.collected import FILE
from aftertune.study.design import Design
from aftertune.study.rated import Rated
from aftertune.study.store import Person, open_store
from aftertune.trace.config import TraceConfig

# what a person says of an item, sides in the stored order: (item, person, swapped, chance)
Say = Callable[[Mapping[str, Any], str, bool, random.Random], dict[str, Any]]


def rate(folder: Path, say: Say, seed: int = 0, most: int | None = None) -> int:
    """Everybody rates the first `most` of their items through the store; gives how many ratings."""
    store = open_store(folder / FILE)
    chance = random.Random(seed)
    waiting = []
    for person in store.people():
        for one in store.assignments(person.person_id)[:most]:
            item = store.item(one["item_id"])
            assert item is not None
            said = say(item, person.person_id, bool(one["swapped"]), chance)
            shown = as_stored(item["kind"], said, bool(one["swapped"]))  # its own inverse
            waiting.append(store.save_later(person, rating(one["item_id"], shown, chance)))
    for one in waiting:
        one.result()
    store.close()
    return len(waiting)


def settle(folder: Path, say: Say, items: Sequence[str]) -> None:
    """The adjudicator rates these items."""
    store = open_store(folder / FILE)
    person = next(one for one in store.people() if one.role == "adjudicator")
    for name in items:
        item = store.item(name)
        assert item is not None
        answer = say(item, person.person_id, False, random.Random(0))
        store.save(person, rating(name, answer, random.Random(name)))
    store.close()


def rating(item_id: str, answer: dict[str, Any], chance: random.Random) -> Rating:
    """A rating under a new id that took 1 to 60 seconds."""
    name = str(uuid.UUID(int=chance.getrandbits(128)))
    seconds = chance.uniform(1, 60)
    return Rating(rating_id=name, item_id=item_id, answer=answer, seconds=seconds)


def person(store: Any, number: int = 0) -> Person:
    """One of the annotators."""
    found = [one for one in store.people() if one.role == "annotator"][number]
    assert isinstance(found, Person)
    return found


def simulated(design: Design, say: Say, seed: int = 0) -> list[Rated]:
    """What `collected` would read where everybody rated everything, without a file."""
    items = {item.item_id: item for item in design.items}
    chance = random.Random(seed)
    found = []
    for number, one in enumerate(design.assignments):
        item = items[one.item_id]
        record = {"hidden": item.hidden, "shown": item.shown, "item_id": item.item_id,
                  "repeat_of": item.repeat_of}  # fmt: skip
        found.append(Rated(
            item_id=item.item_id,
            original=item.repeat_of or item.item_id,
            person=one.person,
            role="annotator",
            kind=item.kind,
            answer=say(record, one.person, one.swapped, chance),
            models=tuple(item.hidden["models"]),
            response_ids=tuple(item.hidden["response_ids"]),
            prompt_id=item.hidden["prompt_id"],
            text=item.shown["answers"][0],
            pilot=item.pilot,
            swapped=one.swapped,
            batch=one.batch,
            sequence=number,
            seconds=chance.uniform(1, 60),
        ))  # fmt: skip
    return found


def borrowing(response_id: str, span: tuple[int, int], row_id: str, **more: Any) -> dict[str, Any]:
    """A record of the table `borrowings` with nothing but its row and its place."""
    record = dict.fromkeys(schema.BORROWINGS.names)
    return record | {
        "response_id": response_id, "char_start": span[0], "char_end": span[1], "span": "x",
        "row_id": row_id, "row_index": 0, "cluster_id": "c", "rank": 1, "score": 1.0,
        "kind": "copied", "shared": [], **more,
    }  # fmt: skip


def made_trace(
    records: Sequence[dict[str, Any]], out: Path, rows: Artefact | None = None
) -> Artefact:
    """A `trace` artefact of these borrowings from `rows`."""
    name = hash_json(list(records))
    inputs = [Input("made", name, name, ""), *([rows.as_input("rows")] if rows else [])]
    plan = Plan("trace", 1, {}, TraceConfig(), tuple(inputs))
    with draft(out, plan) as drafted:
        drafted.write(0, {"borrowings": schema.from_rows("borrowings", list(records))})
        return drafted.finish({"done": 1, "skipped": {}, "unscored": {}})


def made_verdicts(records: Sequence[dict[str, Any]], out: Path) -> Artefact:
    """A `judge` artefact with these verdicts: response_id, aspect, score, other_response_id."""
    rest = {"other_response_id": None, "judge": "J", "status": "scored", "reason": None,
            "repeat": 0, "presentation": "alone"}  # fmt: skip
    name = hash_json(list(records))
    plan = Plan("judge", 1, {}, StageConfig(), (Input("made", name, name, ""),))
    with draft(out, plan) as drafted:
        table = schema.from_rows("verdicts", [{**rest, **one} for one in records])
        drafted.write(0, {"verdicts": table})
        done = {"done": len(records), "skipped": {}, "unscored": {}}
        return drafted.finish(done, {"judge": {"name": "J"}})
