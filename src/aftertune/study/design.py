"""Who rates what, in which order, and which answer stands first (pure).

Everything is drawn from a seed: the same items, people and seed give the same study. Items come in
one random order, and everybody meets them in that order batch by batch, so that a study which stops
early still has items that several people rated.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aftertune.study.items import OF_TWO, Item, again, text_of

PILOT = 0  # the batch that everybody rates first
APART = 1 / 3  # of a person's items, at least, between an item and its repeat


@dataclass(frozen=True)
class Assignment:
    """Item `item_id` is the `position`-th (from 0) that `person` rates.

    swapped: the answers are shown in the other order than they are stored in.
    """

    person: str
    item_id: str
    batch: int  # from 1; PILOT for the pilot
    position: int
    swapped: bool


@dataclass(frozen=True)
class Design:
    """items: all of them, repeats last. assignments: by person, in the order of rating."""

    items: list[Item]
    assignments: list[Assignment]

    def of(self, person: str) -> list[Assignment]:
        """What one person rates, in order."""
        return [one for one in self.assignments if one.person == person]


def design(
    items: Sequence[Item],
    people: Sequence[str],
    *,
    overlap: int,
    batch_size: int,
    pilot: int,
    repeats: int,
    seed: int,
    feedback: Sequence[Mapping[str, Any]] = (),
) -> Design:
    """Deal `items` out to `people`.

    overlap: people of each item; their loads differ by one at most. pilot: items that everybody
    rates first, those with feedback before others, in batch 0. repeats: items that a person gets
    once more at the end, at least a third of his items later; fewer where he has few. Of an item
    with two answers half of its people see the stored order and half the other, as nearly as their
    number allows, and so does each person over his items of a pair of models; a repeat stands the
    other way round. feedback: records with `prompt`, perhaps `model`, `answer` and `why`.

    Raises ValueError where an item would need more people than there are.
    """
    if not 1 <= overlap <= len(people):
        raise ValueError(f"{overlap} people for an item, of {len(people)}")
    chance = random.Random(f"{seed} design")
    order = _with_feedback(list(items), feedback)
    chance.shuffle(order)
    order.sort(key=lambda item: item.feedback is None)  # a stable sort: the rest stays drawn
    first = [replace(item, pilot=True) for item in order[:pilot]]
    rest = [replace(item, feedback=None) for item in order[pilot:]]
    raters = {item.item_id: list(people) for item in first}
    raters |= _dealt(rest, people, overlap, chance)
    swapped = _orders([*first, *rest], raters, chance)
    repeated: dict[str, Item] = {}
    assignments = []
    for person in people:
        own = [item for item in rest if person in raters[item.item_id]]
        batches = _batches(own, batch_size, chance)
        batches = _repeats(batches, repeats, seed, chance)
        repeated |= {i.item_id: i for batch in batches for i in batch if i.repeat_of}
        numbered = [(PILOT, chance.sample(first, len(first)))] if first else []
        numbered += list(enumerate(batches, start=1))
        dealt = [(item, batch) for batch, some in numbered for item in some]
        assignments += [
            Assignment(person, item.item_id, batch, place, _swap(item, person, swapped))
            for place, (item, batch) in enumerate(dealt)
        ]
    return Design([*first, *rest, *repeated.values()], assignments)


def _with_feedback(items: list[Item], feedback: Sequence[Mapping[str, Any]]) -> list[Item]:
    """Items with what an organiser says of them, found by the prompt's last request."""
    told = {(one["prompt"].strip(), one.get("model")): one for one in feedback}

    def of(item: Item) -> Mapping[str, Any] | None:
        asked = text_of(item.shown["prompt"]).strip()
        names = [*item.hidden["models"], None]
        found = next((told[asked, name] for name in names if (asked, name) in told), None)
        return found and {"answer": found.get("answer"), "why": found.get("why")}

    return [replace(item, feedback=of(item)) for item in items]


def _dealt(
    items: Sequence[Item], people: Sequence[str], overlap: int, chance: random.Random
) -> dict[str, list[str]]:
    """item_id -> its people: always those with the fewest items, and who met least before."""
    load: Counter[str] = Counter()
    met: Counter[frozenset[str]] = Counter()
    found = {}
    for item in items:
        chosen: list[str] = []
        for _ in range(overlap):
            left = [person for person in people if person not in chosen]
            chance.shuffle(left)

            def cost(person: str, beside: tuple[str, ...] = tuple(chosen)) -> tuple[int, int]:
                return load[person], sum(met[frozenset((person, other))] for other in beside)

            chosen.append(min(left, key=cost))
        load.update(chosen)
        met.update(frozenset((a, b)) for a in chosen for b in chosen if a < b)
        found[item.item_id] = chosen
    return found


def _orders(
    items: Sequence[Item], raters: Mapping[str, Sequence[str]], chance: random.Random
) -> dict[tuple[str, str], bool]:
    """(item_id, person) -> swapped: half within the item, and within a person and pair of models.

    What is balanced is which MODEL stands first, since the stored order is drawn itself.
    """
    lead: Counter[tuple[str, frozenset[str]]] = Counter()  # times the first by name stood first
    found: dict[tuple[str, str], bool] = {}
    for item in items:
        if len(item.shown["answers"]) != 2:
            continue
        models = item.hidden["models"]
        pair, stored = frozenset(models), models[0] == min(models)
        people = list(raters[item.item_id])
        chance.shuffle(people)
        people.sort(key=lambda person: lead[person, pair])
        leads = sum(lead[person, pair] for person in people)
        coin = leads < 0 or (leads == 0 and chance.random() < 0.5)  # of an odd number, who has more
        half = len(people) // 2 + (coin if len(people) % 2 else 0)
        for place, person in enumerate(people):
            first_by_name = place < half  # those who saw it second most often
            lead[person, pair] += 1 if first_by_name else -1
            found[item.item_id, person] = first_by_name != stored
    return found


def _swap(item: Item, person: str, swapped: Mapping[tuple[str, str], bool]) -> bool:
    if item.repeat_of:
        return item.kind in OF_TWO and not swapped[item.repeat_of, person]
    return swapped.get((item.item_id, person), False)


def _batches(own: list[Item], size: int, chance: random.Random) -> list[list[Item]]:
    """A person's items in batches, each in an order of his own."""
    found = [own[start : start + size] for start in range(0, len(own), size)]
    return [chance.sample(batch, len(batch)) for batch in found]


def _repeats(
    batches: list[list[Item]], repeats: int, seed: int, chance: random.Random
) -> list[list[Item]]:
    """Items of the first third once more, among the last third of them in random places."""
    flat = [item for batch in batches for item in batch]
    third = int(len(flat) * APART)
    if third == 0 or repeats == 0:
        return batches
    chosen = chance.sample(flat[:third], min(repeats, third))
    last = list(batches[-1])
    # not before the last third: an original may itself stand in the last batch
    earliest = max(0, len(last) - third)
    for item in chosen:
        place = chance.randint(earliest, len(last))
        last.insert(place, again(item, seed))
    return [*batches[:-1], last]
