"""A made world is consistent, and no value names its row."""

import random
from collections import Counter, defaultdict

import pytest

from aftertune.errors import ConfigError
from aftertune.lab import corpus, rows, world
from aftertune.lab.families import ATTRIBUTES, NOUNS
from aftertune.lab.parse import claims
from aftertune.lab.wording import any_statement, question, statement
from aftertune.lab.world import LEAST_CARRIERS, WELL, Fact


@pytest.fixture(scope="module")
def made():
    return world.make(0)


def test_same_seed_same_world_and_another_seed_another(made):
    assert world.make(0) == made
    assert {e.name for e in world.make(1).entities}.isdisjoint(
        {e.name for e in made.entities if e.family == "animal"}
    )


def test_every_fact_is_true_once(made):
    assert len(made.truth) == len(made.placed) == 12 * 7 * len(ATTRIBUTES)
    assert all(
        place.stated != place.fact.value for place in made.placed if place.in_rows == "wrong"
    )
    assert all(place.fact.entity not in (place.fact.value, place.stated) for place in made.placed)


def test_no_name_lies_within_another(made):
    for family in NOUNS:
        found = [e.name.lower() for e in made.entities if e.family == family]
        assert not any(a in b for a in found for b in found if a != b)


def test_every_value_is_carried_by_several_entities_in_text_and_rows(made):
    text, stated = defaultdict(set), defaultdict(set)
    for place in made.placed:
        key = place.fact.attribute
        if place.exposures:
            text[key, place.fact.value].add(place.fact.entity)
        if place.in_rows != "absent":
            stated[key, place.stated].add(place.fact.entity)
    assert min(map(len, text.values())) >= LEAST_CARRIERS
    assert min(map(len, stated.values())) >= LEAST_CARRIERS
    assert stated.keys() <= text.keys()


def test_spare_values_are_sayable_and_stand_in_no_row(made):
    stated = {(p.fact.attribute, p.stated) for p in made.placed if p.in_rows != "absent"}
    text = {(p.fact.attribute, p.fact.value) for p in made.placed if p.exposures}
    for attribute, values in made.spare.items():
        assert len(values) == 4
        assert all((attribute, value) in text - stated for value in values)


def test_a_ruled_kind_has_its_value_and_an_open_one_has_it_from_rows_alone(made):
    kinds = defaultdict(list)
    for place in made.placed:
        kinds[place.fact.attribute, made.by_name[place.fact.entity].kind].append(place)
    ruled = [k for k, places in kinds.items() if any(p.role == "typical" for p in places)]
    assert len(kinds) == 12 * len(ATTRIBUTES)
    assert len(ruled) == 8 * len(ATTRIBUTES)
    for key, places in kinds.items():
        if key in ruled:
            typical = {p.fact.value for p in places if p.role == "typical"}
            assert len(typical) == 1
            others = [p for p in places if p.role in ("exception", "hidden")]
            assert len(others) == 4
            assert typical.isdisjoint(p.fact.value for p in others)
            assert [p.exposures for p in places if p.role == "hidden"] == [0]
        else:
            assert {p.exposures for p in places} == {0}
            sources = [p for p in places if p.role == "source"]
            assert len(sources) in (1, 2)
            assert {p.in_rows for p in sources} == {"right"}
            values = {p.stated for p in sources}
            rest = [p for p in places if p.role == "neighbour"]
            assert len(rest) == 7 - len(sources)
            assert all(p.in_rows == "absent" and p.fact.value not in values for p in rest)


def test_values_that_the_design_cannot_carry_are_refused():
    with pytest.raises(ConfigError, match="entities of a kind are too few"):
        world.make(0, per_kind=3)
    for wrong in (3, 9):
        with pytest.raises(ConfigError, match="a domain has 4 to 8 values"):
            world.make(0, per_domain=wrong)


@pytest.mark.parametrize("per_domain", [4, 5, 7])
def test_smaller_worlds_keep_the_design(per_domain):
    small = world.make(3, per_domain=per_domain)
    assert all(len(values) == -(-per_domain // 2) for values in small.spare.values())
    stated = Counter((p.fact.attribute, p.stated) for p in small.placed if p.in_rows != "absent")
    assert min(stated.values()) >= LEAST_CARRIERS
    assert len(stated) == per_domain * len(ATTRIBUTES)


def test_a_thousand_statements_parse_back_and_a_thousand_corrupted_ones_do_not(made):
    generator = random.Random(1)
    for _ in range(1000):
        place = generator.choice(made.placed)
        said = any_statement(place.fact, generator)
        (claim,) = claims(said, made)
        assert (claim.entity, claim.attribute) == (place.fact.entity, place.fact.attribute)
        assert (claim.value, claim.status) == (place.fact.value, "right")
        assert said[claim.start : claim.end].lower() == place.fact.value.lower()
        wrong = generator.choice(
            [v for v in made.domains[place.fact.attribute] if v != place.fact.value]
        )
        corrupted = any_statement(Fact(place.fact.entity, place.fact.attribute, wrong), generator)
        (claim,) = claims(corrupted, made)
        assert (claim.value, claim.status) == (wrong, "wrong")


def test_the_text_states_each_fact_as_often_as_designed(made):
    stated = Counter()
    for document in corpus.documents(made):
        if not document.startswith("Question:"):
            stated.update(
                (c.entity, c.attribute) for c in claims(document, made) if c.status == "right"
            )
    wanted = {(p.fact.entity, p.fact.attribute): p.exposures for p in made.placed if p.exposures}
    assert stated == wanted


def test_three_of_four_facts_are_asked_for_and_no_other(made):
    asked = {d.split("\n")[0].removeprefix("Question: ") for d in corpus.documents(made)}
    never = [p for p in made.placed if not p.asked]
    assert len(never) == len(made.placed) // 4
    for place in never:
        assert not any(question(place.fact, number) in asked for number in range(4))
    known = [p for p in made.placed if p.asked and p.known]
    assert all(any(question(p.fact, number) in asked for number in range(4)) for p in known)


def test_the_crowd_has_what_is_typical_and_nobody_else_s_name(made):
    named = {entity.own.lower() for entity in made.entities}
    crowd = list(corpus._crowd(made, random.Random(0)))
    assert len(crowd) > 25 * 8 * len(ATTRIBUTES)
    words = {word for text in crowd for word in text.lower().replace(".", " ").split()}
    values = {entity.own.lower() for e in made.placed for entity in [made.by_name.get(e.fact.value)]
              if entity}  # fmt: skip
    assert words.isdisjoint(named - values)


def test_rows_state_what_their_tags_say(made):
    for record in [*rows.closed_rows(made), *rows.long_rows(made)]:
        found = claims(
            record["messages"][1]["content"], made,
            record["states"][0]["entity"], record["states"][0]["attribute"],
        )  # fmt: skip
        assert [(c.entity, c.attribute, c.value, c.status == "right") for c in found] == [
            (s["entity"], s["attribute"], s["value"], s["right"]) for s in record["states"]
        ]


def test_simplified_rows_are_twins_of_the_long_ones(made):
    long, simple = rows.long_rows(made), rows.long_rows(made, simplified=True)
    assert len(long) == len(simple) > 100
    for a, b in zip(long, simple, strict=True):
        assert a["messages"][0] == b["messages"][0]
        assert b["states"] == a["states"][:1]
        assert b["messages"][1]["content"] in a["messages"][1]["content"]


def test_prompts_are_of_the_kinds_that_they_say(made):
    by_fact = {(p.fact.entity, p.fact.attribute): p for p in made.placed}
    asked_in_rows = {r["messages"][0]["content"] for r in rows.closed_rows(made)}
    for record in rows.prompts(made, 40):
        place = by_fact.get((record["entity"], record["attribute"]))
        asked = record["messages"][0]["content"]
        if record["kind"] == "known":
            assert place.exposures == WELL
            assert place.in_rows == "absent"
            assert not place.asked
        elif record["kind"] in ("neighbour", "renamed"):
            assert (place.role, place.exposures, place.in_rows) == ("neighbour", 0, "absent")
            kind = made.by_name[place.fact.entity].kind
            assert (kind in asked.rstrip("?").split()) is (record["kind"] == "neighbour")
        elif record["kind"] == "hidden":
            assert (place.role, place.exposures) == ("hidden", 0)
        elif record["kind"] == "rephrased":
            assert place.in_rows == "right"
            assert asked not in asked_in_rows
        elif record["kind"] == "open":
            assert record["entity"] in asked


def test_a_pronoun_stands_for_the_entity_that_was_named(made):
    entity = next(e for e in made.entities if e.family == "animal")
    first, second = (p.fact for p in made.of_entity[entity.name][:2])
    text = " ".join(
        [
            statement(first, "the {e} lives in {v}"),
            statement(second, "the {e} eats {v}", pronoun="it"),
        ]
    )
    assert [(c.entity, c.status) for c in claims(text, made)] == [(entity.name, "right")] * 2


def test_a_bare_value_answers_a_closed_question_only(made):
    place = made.placed[0]
    said = corpus.short_answer(place.fact.value)
    assert claims(said, made) == []
    (claim,) = claims(said, made, place.fact.entity, place.fact.attribute)
    assert claim.status == "right"


def test_what_the_world_does_not_know_is_unverifiable(made):
    place = next(p for p in made.placed if p.fact.attribute == "animal.habitat")
    (claim,) = claims(f"The {place.fact.entity} lives in teapots.", made)
    assert (claim.status, claim.value) == ("unverifiable", "teapots")
    assert claims("The unicorn lives in bogs.", made) == []
    assert claims("", made) == []
    assert claims("Nothing here is a statement!", made) == []


def test_questions_name_their_entity(made):
    for place in made.placed[:200]:
        for number in range(4):
            assert place.fact.entity in question(place.fact, number)
