"""The ratings in a study's file, read for analysis and export: models named, orders undone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftertune.errors import InputError
from aftertune.study.answers import as_stored
from aftertune.study.config import Kind
from aftertune.study.items import Item
from aftertune.study.rated import ANNOTATOR, Rated
from aftertune.study.store import Store, open_store

FILE = "study.sqlite"


@dataclass(frozen=True)
class Collected:
    """A study as it stands. rated: every rating that was ever saved, withdrawn ones too.

    asked: {ratings, items, people, pilot, repeats}, of what was dealt out to annotators.
    """

    kind: Kind
    settings: Mapping[str, Any]
    items: list[Item]
    rated: list[Rated]
    asked: dict[str, int]

    @property
    def aspects(self) -> tuple[str, ...]:
        """What was asked besides the kind's own question."""
        if self.kind not in ("pairs", "aspects"):
            return ()
        return tuple(self.settings["aspects"])

    @property
    def models(self) -> tuple[str, ...]:
        """Of the answers, in order of their names."""
        return tuple(sorted({model for item in self.items for model in item.hidden["models"]}))


def read(folder: str | Path) -> Collected:
    """The study in `folder`, also while it is served; raises InputError where there is none."""
    path = Path(folder) / FILE
    if not path.is_file():
        raise InputError(f"{folder} holds no {FILE}; give the folder that `study create` made.")
    store = open_store(path)
    try:
        items = [_item(record) for record in store.items()]
        by_id = {item.item_id: item for item in items}
        rated = [_rated(record, by_id[record["item_id"]]) for record in store.ratings()]
        return Collected(store.kind, store.settings, items, rated, _asked(store, by_id))
    finally:
        store.close()


def _item(record: Mapping[str, Any]) -> Item:
    columns = ("item_id", "kind", "shown", "hidden", "pilot", "feedback", "repeat_of")
    return Item(*(record[column] for column in columns))


def _rated(record: Mapping[str, Any], item: Item) -> Rated:
    swapped = bool(record["swapped"])
    return Rated(
        item_id=item.item_id,
        original=item.repeat_of or item.item_id,
        person=record["person_id"],
        role=record["role"],
        kind=item.kind,
        answer=as_stored(item.kind, record["answer"], swapped),
        models=tuple(item.hidden["models"]),
        response_ids=tuple(item.hidden["response_ids"]),
        prompt_id=item.hidden["prompt_id"],
        text=item.shown["answers"][0],
        pilot=bool(item.pilot),
        swapped=swapped,
        batch=record["batch"],
        sequence=record["sequence"],
        seconds=record["seconds"],
        received=record["received"],
        note=record["note"] or None,
        withdrawn=bool(record["withdrawn"]),
    )


def _asked(store: Store, items: Mapping[str, Item]) -> dict[str, int]:
    annotators = {one.person_id for one in store.people() if one.role == ANNOTATOR}
    dealt = [one for one in store.assignments() if one["person_id"] in annotators]
    of: Sequence[Item] = [items[one["item_id"]] for one in dealt]
    return {
        "ratings": len(dealt),
        "items": len({i.item_id for i in of if not i.pilot and i.repeat_of is None}),
        "people": len({one["person_id"] for one in dealt}),
        "pilot": len({i.item_id for i in of if i.pilot}),
        "repeats": sum(i.repeat_of is not None for i in of),
    }
