"""Items and who rates what: balanced, blind, drawn from a seed."""

import json
from collections import Counter, defaultdict
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.study.config import StudyConfig
from aftertune.study.design import PILOT, Design, design
from aftertune.study.items import make
from made_answers import answer


def made(models="ab", n=12, kind="pairs", seed=0, sample=None):
    answers = {model: [answer(k, model) for k in range(n)] for model in models}
    return make(answers, kind, seed, sample)


def dealt(n=12, people=3, kind="pairs", models="ab", **options):
    asked = {"overlap": 2, "batch_size": 5, "pilot": 2, "repeats": 2, "seed": 0, **options}
    names = [f"p{k}" for k in range(people)]
    return design(made(models, n, kind, asked["seed"]).items, names, **asked)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 30), people=st.integers(1, 6), overlap=st.integers(1, 6),
    batch_size=st.integers(1, 12), pilot=st.integers(0, 6), repeats=st.integers(0, 5),
    seed=st.integers(0, 50),
)  # fmt: skip
def test_every_design_is_balanced(n, people, overlap, batch_size, pilot, repeats, seed):
    overlap = min(overlap, people)
    found = dealt(n, people, models="abc", overlap=overlap, batch_size=batch_size, pilot=pilot,
                  repeats=repeats, seed=seed)  # fmt: skip
    items = {item.item_id: item for item in found.items}
    assert len(items) == len(found.items)
    raters = defaultdict(list)
    for one in found.assignments:
        raters[one.item_id].append(one.person)
    own = Counter()
    for item in found.items:
        who = raters[item.item_id]
        assert len(set(who)) == len(who)
        if item.repeat_of is None:
            assert len(who) == (people if item.pilot else overlap)
            own.update(dict.fromkeys(who, not item.pilot))
    if n:
        loads = [own[f"p{k}"] for k in range(people)]
        assert max(loads) - min(loads) <= 1
    for k in range(people):
        check_person(found, items, f"p{k}", batch_size, repeats)
    check_orders(found, items)


def check_person(found, items, person, batch_size, repeats):
    mine = found.of(person)
    assert [one.position for one in mine] == list(range(len(mine)))
    assert [one.batch for one in mine] == sorted(one.batch for one in mine)
    assert all((one.batch == PILOT) == items[one.item_id].pilot for one in mine)
    again = [one for one in mine if items[one.item_id].repeat_of]
    rest = [one for one in mine if one.batch != PILOT and one not in again]
    assert len(again) == min(repeats, len(rest) // 3)
    sizes = Counter(one.batch for one in rest)
    assert all(size <= batch_size for size in sizes.values())
    place = {one.item_id: one for one in mine}
    for one in again:
        first = place[items[one.item_id].repeat_of]
        assert one.position - first.position >= len(rest) // 3
        assert one.swapped != first.swapped


def check_orders(found: Design, items):
    """Which model leads: half within an item, and within a person and pair of models."""
    of_item, of_person = defaultdict(Counter), defaultdict(Counter)
    for one in found.assignments:
        item = items[one.item_id]
        if item.repeat_of is None:
            models = item.hidden["models"]
            lead = models[1] if one.swapped else models[0]
            of_item[item.item_id][lead] += 1
            of_person[one.person, frozenset(models)][lead] += 1
    for models, counts in [*((items[i].hidden["models"], c) for i, c in of_item.items())]:
        assert abs(counts[models[0]] - counts[models[1]]) <= 1
    for (_, pair), counts in of_person.items():
        first, second = pair
        assert abs(counts[first] - counts[second]) <= 3


def test_orders_of_one_rater_are_even():
    """A single person over 20 pairs sees each model first in 10 of them."""
    found = dealt(20, people=1, overlap=1, pilot=0, repeats=0)
    items = {item.item_id: item for item in found.items}
    leads = Counter(items[o.item_id].hidden["models"][o.swapped] for o in found.assignments)
    assert leads == {"a": 10, "b": 10}


def test_people_meet_evenly():
    """6 pairs of 4 people over 60 items: every two share about 10."""
    found = dealt(60, people=4, pilot=0, repeats=0, batch_size=50)
    by_item = defaultdict(list)
    for one in found.assignments:
        by_item[one.item_id].append(one.person)
    met = Counter(pair for who in by_item.values() for pair in combinations(sorted(who), 2))
    assert len(met) == 6
    assert max(met.values()) - min(met.values()) <= 1


def test_a_seed_names_a_design():
    assert dealt(seed=3) == dealt(seed=3)
    assert dealt(seed=3).assignments != dealt(seed=4).assignments


def test_ids_and_what_is_shown_tell_nothing():
    answers = {name: [answer(k, name, f"Text {k}.") for k in range(5)] for name in ("gpt", "lora")}
    for kind in ("pairs", "spans", "aspects", "outcomes"):
        items = make(answers, kind, 0).items
        assert len({item.item_id for item in items}) == len(items)
        shown = json.dumps([[item.item_id, item.shown] for item in items])
        assert "gpt" not in shown
        assert "lora" not in shown
        assert {model for item in items for model in item.hidden["models"]} == {"gpt", "lora"}
    other = make(answers, "pairs", 1).items
    assert not {i.item_id for i in make(answers, "pairs", 0).items} & {i.item_id for i in other}


def test_items_by_kind():
    assert len(made("abc", 4).items) == 12  # 3 pairs of models at each of 4 prompts
    assert len(made("abc", 4, "spans").items) == 12
    assert [i.hidden["models"] for i in made("ab", 3, "outcomes").items] == [["a", "b"]] * 3
    stored = Counter(item.hidden["models"][0] for item in made("ab", 200).items)
    assert 70 < stored["a"] < 130  # which of a pair is stored first is drawn


def test_prompts_without_a_partner_are_counted():
    answers = {"a": [answer(k, "a") for k in range(4)], "b": [answer(k, "b") for k in (1, 2)]}
    found = make(answers, "pairs", 0)
    assert len(found.items) == 2
    assert found.without_partner == 2
    assert found.alike == 0
    same = {m: [answer(0, m, "The same.")] for m in "ab"}
    assert make(same, "pairs", 0).alike == 1


def test_a_limit_draws_prompts():
    chosen = {item.hidden["prompt_id"] for item in made("ab", 50, sample=10).items}
    assert len(chosen) == 10
    assert chosen != {f"p-{k}" for k in range(10)}
    assert chosen == {item.hidden["prompt_id"] for item in made("ab", 50, sample=10).items}
    assert len(made("ab", 5, sample=10).items) == 5


def test_feedback_makes_an_item_of_the_pilot():
    told = [{"prompt": "This is item 7.", "answer": {"overall": "tie"}, "why": "Alike."}]
    found = dealt(12, feedback=told)
    with_feedback = [item for item in found.items if item.feedback]
    assert [item.hidden["prompt_id"] for item in with_feedback] == ["p-7"]
    assert with_feedback[0].pilot
    assert with_feedback[0].feedback == {"answer": {"overall": "tie"}, "why": "Alike."}
    assert sum(item.pilot for item in found.items) == 2
    assert not any(item.feedback for item in dealt(12, pilot=0, feedback=told).items)


def test_nothing_to_deal_out():
    assert dealt(0) == Design([], [])


@pytest.mark.parametrize("overlap", [0, 4])
def test_more_raters_than_people(overlap):
    with pytest.raises(ValueError, match="of 3"):
        dealt(overlap=overlap)


def test_people_of_a_config():
    assert StudyConfig(kind="pairs", annotators="3").annotators == tuple(
        f"annotator {k}" for k in (1, 2, 3)
    )
    asked = StudyConfig(kind="pairs", annotators="Ann, Ben ,", adjudicators=1)
    assert asked.annotators == ("Ann", "Ben")
    assert asked.adjudicators == ("adjudicator",)
    for wrong, words in (
        ({"annotators": 1}, "lower"),
        ({"annotators": "Ann,Ann"}, "twice"),
        ({"annotators": "Ann,organiser"}, "one name"),
        ({"annotators": 0}, "at least one"),
        ({"annotators": True}, "how many"),
        ({"organisers": ""}, "organiser"),
        ({"aspects": "overall"}, "always asked"),
        ({"aspects": ""}, "at least one"),
    ):
        with pytest.raises(ValueError, match=words):
            StudyConfig(kind="pairs", **wrong)
