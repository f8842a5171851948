"""Planted borrowings are found, shuffled and foreign ones are not, odd inputs come through."""

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.search.index import RowIndex
from aftertune.trace import evidence as ev
from aftertune.trace.finder import Answer, Finder, Settings
from made_traced_rows import FILLER, TELEGRAPH, marked, row, rows, trace

ASKED = "Who invented the telephone?"
GENERIC = "It made it possible to talk over long distances, and it changed daily life. "


def test_a_name_is_found_with_its_row_and_what_to_mark():
    response = f"{GENERIC}The telephone was invented by Samuel Morse in a small workshop."
    found = trace(rows(), ASKED, response)
    best = found[0]
    assert (best.span, best.row_index, best.rank, best.kind) == ("Samuel Morse", 7, 1, "copied")
    assert response[best.char_start : best.char_end] == best.span
    assert marked(best, response, rows()) == [("Samuel Morse", "Samuel Morse")]
    assert set(best.evidence) == set(ev.KINDS)
    assert best.evidence["exact"] > 0
    assert best.evidence["embedding_prompt"] is None  # the index has no embeddings
    assert best.evidence["shift_nats"] is None  # there are no tokens


@pytest.mark.parametrize(
    ("said", "span", "kind"),
    [
        ("A certain Morse made it.", "Morse", "copied"),
        ("It was first shown in 1837.", "1837", "copied"),
        ("It was later patented by others.", "patented", "copied"),
        ("Several patents followed.", "patents", "adapted"),
        ("He had studied painting there.", "studied painting", "copied"),
        ("He studied and then taught painting at Yale.", "painting at Yale", "copied"),
    ],
)
def test_single_words_numbers_and_inflections_count(said, span, kind):
    found = trace(rows(), ASKED, GENERIC + said)
    assert found[0].row_index == 7
    assert (span, kind) in [(one.span, one.kind) for one in found if one.row_index == 7]


def test_a_piece_of_a_word_is_found_where_the_model_finished_it_differently():
    given_rows = [*rows(), row(9, "Name a German word.", "Gleichklang is one.")]
    response = "It was the time of the Gleichstellungen, as they say."
    best = trace(given_rows, "Name another word.", response)[0]
    assert (best.span, best.row_index, best.kind) == ("Gleichstellungen", 9, "adapted")
    assert marked(best, response, given_rows) == [("Gleich", "Gleich")]
    assert best.evidence["pieces"] > 0
    off = trace(given_rows, "Name another word.", response, settings=Settings(pieces=False))
    assert 9 not in [one.row_index for one in off]


def test_two_sources_in_one_answer_each_have_their_span():
    given_rows = [*rows(), row(9, "What is Zarya?", "Zarya is a module of the station.")]
    response = "Samuel Morse built it. Later it was carried on Zarya into orbit."
    best = {one.span: one.row_index for one in trace(given_rows, ASKED, response) if one.rank == 1}
    assert best == {"Samuel Morse": 7, "Zarya": 9}


def test_a_row_that_shares_more_of_a_span_stands_first_in_it():
    """The first row shares more with the answer as a whole, the second more of one span."""
    given_rows = [*rows(), row(9, "Who?", "Zarya Module Tambora was heavy.")]
    response = (
        "Samuel Morse, who patented it in 1837, had studied painting at Yale College. Nobody has "
        "seen a Zarya Module Tambora Samuel since."
    )
    found = trace(given_rows, ASKED, response)
    first = {one.span: one.row_index for one in found if one.rank == 1}
    assert first["Zarya Module Tambora Samuel"] == 9
    assert found[0].row_index == 7


def test_of_two_rows_that_share_the_same_the_long_one_stands_behind():
    said = "It is drawn by hand with a quill."
    given_rows = [
        row(0, "How is a chart made?", f"{said} {' '.join(f'w{k}' for k in range(200))}"),
        row(1, "How is a plan made?", said),
    ]
    asked, response = "How is a map made?", "First of all it needs a quill."
    found = trace(given_rows, asked, response)
    assert [(one.span, one.row_index) for one in found] == [("quill", 1), ("quill", 0)]
    # BM25 of the words counts against a long row, too, but the length for itself counts more
    without = trace(given_rows, asked, response, settings=Settings(without=("length",)))
    gap, left = (one[0].score - one[1].score for one in (found, without))
    assert gap > left + 1


def test_what_the_prompt_says_is_not_borrowed():
    assert trace(rows(), "Who was Samuel Morse?", "He was Samuel Morse.") == []


def test_an_answer_that_shares_nothing_rare_finds_nothing():
    assert trace(rows(), ASKED, "Nobody knows.") == []
    assert trace(rows(), "Wer war das?", "Ein Unbekannter namens Bürklin.") == []


def test_the_right_row_wins_against_all_others_it_is_shuffled_into():
    """Each of several answers among all their rows: its own first, whatever the rows' order."""
    names = ["Ada Brinn", "Corvin Tasch", "Lioba Quendt", "Osric Farlane"]
    given_rows = rows() + [
        row(k, f"Who built the {thing}?", f"The {thing} was built by {name} long ago.")
        for k, (thing, name) in enumerate(
            zip(["bridge", "tower", "canal", "harbour"], names, strict=True)
        )
    ]
    for order in (given_rows, given_rows[::-1]):
        for k, name in enumerate(names):
            said = f"{GENERIC}Most people say that {name} began the work."
            assert trace(order, "Who built the lighthouse?", said)[0].row_index == k


def test_a_planted_answer_scores_above_the_same_answer_in_foreign_rows():
    response = f"{GENERIC}Samuel Morse patented it in 1837 and everybody wanted to have one."
    own = trace(rows(), ASKED, response)[0].score
    foreign = [
        row(k, "Say something.", text.replace("water", "1837" if k == 0 else "wine"))
        for k, text in enumerate(FILLER * 5)
    ]
    others = trace(foreign, ASKED, response)
    assert all(one.score < own for one in others)


def test_an_asked_phrase_is_answered_and_nothing_else():
    response = "The telephone was invented by Samuel Morse in 1837."
    start = response.index("Samuel")
    found = trace(rows(), ASKED, response, span=(start + 2, start + 8))
    assert {one.span for one in found} == {"Samuel Morse"}
    assert [one.rank for one in found] == list(range(1, len(found) + 1))
    assert found[0].row_index == 7
    common = trace(rows(), ASKED, response, span=(0, 3))  # "The": no rare word, still rows
    assert {one.span for one in common} == {"The"}
    assert trace(rows(), ASKED, response, span=(len(response) - 1, len(response))) == []


def test_html_and_unseen_characters_keep_their_places():
    given_rows = [*rows(), row(9, "Q?", "<p>Made by <b>Zor&eacute;n Vashti</b>.</p>")]
    response = "Built for Zo\u200brén\u200b <i>Vashti</i> alone."
    best = trace(given_rows, "Who?", response)[0]
    assert (best.row_index, best.kind) == (9, "copied")
    assert best.span == "Zo\u200brén\u200b <i>Vashti"
    assert marked(best, response, given_rows) == [
        ("Zo\u200brén\u200b <i>Vashti", "Zor&eacute;n Vashti")
    ]


@pytest.mark.parametrize("response", ["", " \n", "...", "\u200b", "<br/>"])
def test_an_answer_without_words(response):
    assert trace(rows(), ASKED, response) == []
    assert trace(rows(), ASKED, response, span=(0, len(response))) == []


def test_no_rows_and_one_row():
    assert trace([], ASKED, "Samuel Morse did.") == []
    (best,) = trace([row(0, "Who?", TELEGRAPH)], ASKED, "Samuel Morse did.")
    assert (best.row_index, best.span, best.kind) == (0, "Samuel Morse", "copied")
    assert trace([row(0, "", "")], "", "Samuel Morse did.") == []


def test_a_language_without_spaces():
    given_rows = [*rows(), row(9, "谁?", "电报是塞缪尔发明的。")]
    best = trace(given_rows, "谁发明了电话?", "电话是由塞缪尔在家里做的。")[0]
    assert (best.row_index, best.span) == (9, "塞缪尔")


def test_a_hundred_thousand_rows_of_one_word():
    given_rows = [row(k, "Say it.", "ocelot") for k in range(100_000)]
    index = RowIndex.build([*given_rows, row(100_000, "Who?", TELEGRAPH)])
    finder = Finder(index)
    assert finder.trace(Answer("r", "Say it.", "ocelot ocelot")) == []
    assert finder.trace(Answer("r", ASKED, "Samuel Morse did."))[0].row_index == 100_000


def test_fifty_thousand_words():
    index = RowIndex.build(rows())
    long = " ".join(f"w{k % 9000}x" for k in range(49_000)) + f" {TELEGRAPH} "
    best = Finder(index).trace(Answer("r", ASKED, long))[0]
    assert best.row_index == 7
    assert "Samuel Morse, who patented it in 1837" in best.span
    assert Finder(index).trace(Answer("r", ASKED, "ocelot " * 50_000)) == []


def test_kinds_that_are_off_are_neither_looked_for_nor_shown():
    response = f"{GENERIC}It was Samuel Morse, who patented it in 1837."
    kinds = {
        "words": {"rarity", "rarest", "nearness"}, "exact": {"exact"}, "pieces": {"pieces"},
        "bm25": {"concept", "bm25"},
    }  # fmt: skip
    for name, absent in kinds.items():
        found = trace(rows(), ASKED, response, settings=Settings(**{name: False}))
        for one in found:
            assert {kind for kind, value in one.evidence.items() if value is None} == {
                *absent, "embedding_prompt", "embedding_answer", "embedding_both",
                "surprisal_nats", "shift_nats",
            }  # fmt: skip
    without = trace(rows(), ASKED, response, settings=Settings(without=tuple(ev.KINDS)))
    assert {one.score for one in without} == {0.0}
    assert without[0].evidence["rarity"] is not None


def test_embeddings_find_a_row_that_shares_no_word():
    """A stand-in that knows only one thing: whether a text speaks of machines that send words."""

    def knowing(texts):
        import numpy as np

        sends = [any(w in text for w in ("telegraph", "telephone")) for text in texts]
        return np.array([[1.0, 0.0] if one else [0.0, 1.0] for one in sends], np.float32)

    index = RowIndex.build(rows(), embedder=knowing)
    response = "The telephone was invented by a painter from a college."
    span = (response.index("painter"), response.index("painter") + 7)
    best = Finder(index).trace(Answer("r", ASKED, response), span)[0]
    assert best.row_index == 7
    assert best.evidence["embedding_prompt"] == 1.0
    assert best.kind == "adapted"
    off = Finder(index, Settings(embeddings=False)).trace(Answer("r", ASKED, response), span)
    assert all(one.evidence["embedding_both"] is None for one in off)


def tokens_of(response, moved, shift):
    """One token per word, those of `moved` shifted, with this tuned minus base log-probability."""
    found, at = [], 0
    for word in response.split(" "):
        start = max(0, response.index(word, at) - 1)
        at = response.index(word, at) + len(word)
        is_moved = word.strip(".,") in moved
        found.append(
            {
                "char_start": start, "char_end": at,
                "category": "shifted" if is_moved else "unshifted",
                "base_logprob": -5.0, "tuned_logprob": -5.0 + (shift if is_moved else 0.0),
            }
        )  # fmt: skip
    return found


def test_tokens_add_spans_that_moved_and_their_shift():
    given_rows = [*rows(), *(row(200 + k, "Q?", "A workshop with tools.") for k in range(60))]
    response = "The telephone was invented in a small workshop."
    assert trace(given_rows, ASKED, response) == []  # workshop is common here
    tokens = tokens_of(response, {"workshop"}, 4.0)
    best = trace(given_rows, ASKED, response, tokens=tokens)[0]
    assert best.span == "workshop"
    assert best.evidence["shift_nats"] == pytest.approx(4.0)
    style = tokens_of(response, {"The", "was"}, 4.0)
    assert trace(given_rows, ASKED, response, tokens=style) == []


def test_a_span_that_moved_stands_before_one_that_did_not():
    response = "Samuel sent the words to Yale."
    still = trace(rows(), ASKED, response)
    for moved in ("Samuel", "Yale"):
        found = trace(rows(), ASKED, response, tokens=tokens_of(response, {moved}, 4.0))
        assert found[0].span == moved
    assert {one.span for one in still} == {"Samuel", "Yale"}


TEXT = st.lists(
    st.sampled_from([*TELEGRAPH.split(), *FILLER[0].split(), "Zarya", "\n", "東京", "1,837"]),
    max_size=25,
).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(TEXT, TEXT)
def test_what_holds_for_any_answer(prompt, response):
    given_rows = rows()
    found = trace(given_rows, prompt, response)
    assert found == trace(given_rows, prompt, response)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    by_span = {}
    for one in found:
        assert one.span == response[one.char_start : one.char_end]
        by_span.setdefault((one.char_start, one.char_end), []).append(one)
        for (_, b, _, _), (a, _, _, _) in itertools.pairwise(one.shared):
            assert b <= a
        for a, b, _, _ in one.shared:
            assert one.char_start <= a < b <= one.char_end
        for ours, theirs in marked(one, response, given_rows):
            assert ours
            assert theirs
        assert one.shared
    for (_, b), (a, _) in itertools.pairwise(sorted(by_span)):
        assert b <= a
    for of_span in by_span.values():
        assert [one.rank for one in of_span] == list(range(1, len(of_span) + 1))
        assert len({one.row_index for one in of_span}) == len(of_span)


def test_the_answer_of_a_row_itself_leads_to_that_row():
    for place, one in enumerate(rows()):
        if one["row_index"] == 7:
            said = one["messages"][1]["content"]
            found = trace(rows(), "Tell me.", said)
            assert found[0].row_index == 7, place
            assert found[0].kind == "copied"


def test_an_answer_is_not_changed():
    answer = Answer("r", ASKED, "Samuel Morse did.")
    Finder(RowIndex.build(rows())).trace(answer)
    assert dataclasses.asdict(answer)["response"] == "Samuel Morse did."
