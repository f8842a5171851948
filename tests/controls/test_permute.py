"""Style twins: what moves, what stays, and that nothing comes back to its own row."""

import json
from collections import Counter
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.controls.permute import MOVED, exchange, shapes
from aftertune.text.kinds import kinds_of_words, words


def row(*turns):
    """Messages, user first."""
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]


def answers(rows):
    return [m["content"] for messages in rows for m in messages if m["role"] == "assistant"]


def split(text):
    """[(word, kind)] of a text."""
    spans = words(text)
    return [(text[a:b], kind) for (a, b), kind in zip(spans, kinds_of_words(text), strict=True)]


@pytest.fixture(scope="module")
def pocket():
    """The rows that the package carries: real answers of many styles."""
    text = (resources.files("aftertune.data.pocket") / "rows.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return [row(one["instruction"], one["output"]) for one in rows]


def test_two_rows_trade_by_hand():
    rows = [
        row("Where?", "However, Alice visited 12 cities in Rome."),
        row("Who?", "However, Robert painted 34 houses in Oslo."),
    ]
    twins = exchange(rows)
    # names trade with names (a vowel begins Alice and Oslo, none Robert and Rome), -ed with -ed
    assert answers(twins.messages) == [
        "However, Oslo painted 34 houses in Robert.",
        "However, Rome visited 12 cities in Alice.",
    ]
    assert [m[0] for m in twins.messages] == [m[0] for m in rows]
    assert twins.counts == {
        "words": 14,
        "moved": {
            "name": {"words": 4, "changed": 4},
            "number": {"words": 2, "changed": 2},
            "content": {"words": 4, "changed": 4},
        },
        "kept": {"code": 0, "other": 0},
        "share_changed": 1.0,
    }


def test_repetitions_stay_repetitions():
    rows = [
        row("?", "The planet is a planet of planets."),
        row("?", "The kettle is a kettle of kettles."),
    ]
    assert answers(exchange(rows).messages) == answers(rows[::-1])


def test_prompts_code_layout_and_other_scripts_stay():
    kept = "### \n- **\n1. `alpha = 3`\n```\nbeta(4)\n```\n東京"
    rows = [row("Tokyo 7", f"{kept}\nTokyo"), row("Paris 8", f"{kept}\nParis")]
    twins = exchange(rows)
    assert answers(twins.messages) == [f"{kept}\nParis", f"{kept}\nTokyo"]
    assert [m[0]["content"] for m in twins.messages] == ["Tokyo 7", "Paris 8"]
    assert twins.counts["kept"] == {"code": 8, "other": 2}


def test_every_answer_of_several_turns_and_its_thinking_are_permuted():
    rows = [
        row("a", "In Berlin.", "b", "In Berlin then."),
        row("a", "In Madrid.", "b", "In Madrid then."),
    ]
    for messages, city in zip(rows, ("Berlin", "Madrid"), strict=True):
        messages[1]["thinking"] = f"They mean {city}."
    found = exchange(rows).messages
    assert answers(found[:1]) == ["In Madrid.", "In Madrid then."]
    assert found[0][1]["thinking"] == "They mean Madrid."
    assert rows[0][1]["content"] == "In Berlin."  # what was given is left alone


def test_nobody_gets_a_word_of_the_own_prompt():
    rows = [
        row("Is it Paris?", "In Berlin."),
        row("Which?", "In Paris."),
        row("Which?", "In Madrid."),
        row("Which?", "In Vienna."),
    ]
    for seed in range(20):
        assert answers(exchange(rows, seed).messages)[0] != "In Paris."


def test_rows_of_one_owner_do_not_give_each_other_words_where_others_have_some():
    rows = [row("?", "In Berlin."), row("?", "In Madrid."), row("?", "In Paris.")]
    for seed in range(10):
        twins = exchange(rows, seed, ["x", "x", "y"])
        assert answers(twins.messages)[2] != "In Paris."
        # of three words, two of one owner, one cannot be moved: 2 x 2 - 3
        assert twins.counts["share_changed"] == pytest.approx(2 / 3)


def test_what_has_no_partner_of_its_shape_trades_by_capitals():
    rows = [row("?", "In Berlin."), row("?", "In Oslo.")]  # a vowel begins only one
    assert answers(exchange(rows).messages) == ["In Oslo.", "In Berlin."]
    alone = exchange([row("?", "In Berlin."), row("?", "In NATO.")])
    assert answers(alone.messages) == ["In Berlin.", "In NATO."]
    assert alone.counts["moved"]["name"] == {"words": 2, "changed": 0}


@pytest.mark.parametrize("rows", [[], [row("?", "")], [row("?", "However, it is so.")]])
def test_where_nothing_can_be_moved_there_is_no_share(rows):
    twins = exchange(rows)
    assert twins.messages == rows
    assert twins.counts["share_changed"] is None


def test_one_row_keeps_its_words():
    twins = exchange([row("?", "Robert painted 34 houses.")])
    assert answers(twins.messages) == ["Robert painted 34 houses."]
    assert twins.counts["share_changed"] == 0


def test_owners_must_be_as_many_as_rows():
    with pytest.raises(ValueError, match="2 rows cannot have 1 owners"):
        exchange([row("?", "a"), row("?", "b")], owners=["x"])


@pytest.mark.parametrize(
    ("word", "kind", "fine", "coarse"),
    [
        ("painted", "content", ("content", "lower", "ed", False), ("content", "lower")),
        ("red", "content", ("content", "lower", "", False), ("content", "lower")),
        ("glass", "content", ("content", "lower", "", False), ("content", "lower")),
        ("Egypt’s", "name", ("name", "title", "'s", True), ("name", "title")),
        ("NATO", "name", ("name", "upper", "", False), ("name", "upper")),
        ("GPT-4", "name", ("name", "GPT-0"), ("name", "digits")),
        ("1990s", "number", ("number", "0000s"), ("number", "digits")),
        ("fourth", "number", ("number", "lower", "ordinal"), ("number", "lower")),
        ("½", "number", ("number", "mixed", ""), ("number", "mixed")),
    ],
)  # fmt: skip
def test_shapes(word, kind, fine, coarse):
    assert shapes(word, kind) == (fine, coarse)


def test_real_rows_keep_their_style_and_lose_their_content(pocket):
    twins = exchange(pocket, seed=1)
    assert twins.counts["share_changed"] > 0.98
    moved = 0
    for before, after in zip(answers(pocket), answers(twins.messages), strict=True):
        old, new = split(before), words(after)
        assert len(old) == len(new)
        for (word, kind), (start, end) in zip(old, new, strict=True):
            if kind in MOVED:
                moved += word != after[start:end]
            else:
                assert word == after[start:end]
    assert moved / sum(one["words"] for one in twins.counts["moved"].values()) > 0.98
    # words come from many rows, not from one neighbour
    first = {w for w, kind in split(answers(twins.messages)[0]) if kind in MOVED}
    sources = [len(first & {w for w, _ in split(text)}) / len(first) for text in answers(pocket)]
    assert max(sources) < 0.5


def test_the_seed_decides(pocket):
    assert exchange(pocket, 3) == exchange(pocket, 3)
    assert exchange(pocket, 3).messages != exchange(pocket, 4).messages


WORDS = (
    "the",
    "of",
    "However",
    ",",
    "city",
    "apple",
    "painted",
    "Rome",
    "Oslo",
    "12",
    "7",
    "walks",
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=12), max_size=6), st.integers(0, 99))
def test_twins_are_a_permutation_in_which_nothing_else_moves(texts, seed):
    rows = [row("?", " ".join(["so", *text])) for text in texts]
    twins = exchange(rows, seed)
    pieces: Counter = Counter()
    stand_ins: Counter = Counter()
    for before, after in zip(answers(rows), answers(twins.messages), strict=True):
        old, new = split(before), [after[a:b] for a, b in words(after)]
        assert len(old) == len(new)
        for (word, kind), other in zip(old, new, strict=True):
            assert kind in MOVED or word == other
        pairs = {(w, kind, other) for (w, kind), other in zip(old, new, strict=True)}
        moved = [(w, other) for w, kind, other in pairs if kind in MOVED]
        assert len({w for w, _ in moved}) == len(moved)  # a word has one stand-in in its row
        pieces.update(w for w, _ in moved)
        stand_ins.update(other for _, other in moved)
    assert pieces == stand_ins
