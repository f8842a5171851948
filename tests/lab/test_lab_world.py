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
    assert len(made.truth) == len(made.placed) == 64 * len(ATTRIBUTES)
    assert all(
        place.stated != place.fact.value for place in made.placed if place.in_rows == "wrong"
    )
    assert all(place.fact.value != place.fact.entity for place in made.placed)


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


def test_every_cell_of_the_design_is_filled_for_every_attribute(made):
    cells = Counter((p.fact.attribute, p.exposures, p.in_rows) for p in made.placed)
    assert len({(exposures, in_rows) for _, exposures, in_rows in cells}) == 7
    assert min(cells.values()) >= 8


def test_too_few_entities_for_the_values_are_refused():
    with pytest.raises(ConfigError, match="ask for more entities or fewer values"):
        world.make(0, per_family=24, per_domain=8)
    with pytest.raises(ConfigError, match="a domain has 2 to"):
        world.make(0, per_family=64, per_domain=99)


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


def test_nothing_is_asked_about_the_others(made):
    asked = [d.split("\n")[0] for d in corpus.documents(made) if d.startswith("Question:")]
    names = [e.name for e in made.entities if not made.of_entity[e.name][0].asked]
    assert asked
    assert len(names) == len(made.entities) // 4
    joined = "\n".join(asked)
    assert not any(name in joined for name in names)


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
        elif record["kind"] == "neighbour":
            assert (place.exposures, place.in_rows) == (0, "absent")
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
