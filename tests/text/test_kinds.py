"""Each rule of `kinds` by itself, then what holds for any text."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.text.kinds import KINDS, kinds_of_tokens, kinds_of_words, word_of_tokens, words
from aftertune.text.word_lists import (
    FUNCTION_WORDS,
    NUMBER_WORDS,
    OPENERS,
    OPENERS_BEFORE_A_MARK,
    STYLE_WORDS,
)


def kinds(text):
    """[(word, kind)] of a text."""
    return [
        (text[start:end], kind)
        for (start, end), kind in zip(words(text), kinds_of_words(text), strict=True)
    ]


def kind(text, word):
    """The kind of the only place where `word` stands."""
    (found,) = [k for w, k in kinds(text) if w == word]
    return found


def test_a_sentence_by_hand():
    assert kinds("However, the dog of Larry Page ate 3 bones.") == [
        ("However", "style"),
        (",", "punctuation"),
        ("the", "function"),
        ("dog", "content"),
        ("of", "function"),
        ("Larry", "name"),
        ("Page", "name"),
        ("ate", "content"),
        ("3", "number"),
        ("bones", "content"),
        (".", "punctuation"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t", []),
        ("well-known", ["well-known"]),
        ("it's don’t", ["it's", "don’t"]),
        ("end.\n\nNext", ["end", ".", "Next"]),
        ('he said: "go!"', ["he", "said", ":", '"', "go", '!"']),
        ("a **b**: c", ["a", "**", "b", "**", ":", "c"]),
        ("3.5% of $1,000.", ["3.5%", "of", "$1,000", "."]),
        ("see https://a.org/b_c.", ["see", "https://a.org/b_c", "."]),
        ("U.S. law", ["U.S.", "law"]),
        ("é\u0301t हिन्दी", ["é\u0301t", "हिन्दी"]),
        ("f`x`g", ["f", "`", "x", "`", "g"]),
    ],
)
def test_words_by_hand(text, expected):
    assert [text[start:end] for start, end in words(text)] == expected


class TestCode:
    def test_between_fences_everything_is_code_with_its_white_space(self):
        text = "Run:\n```python\nx = 1\n```\ndogs"
        spans = [(0, 3), (3, 4), (4, 5), (5, 8), (8, 14), (14, 15), (15, 16), (16, 18), (18, 20),
                 (20, 21), (21, 24), (24, 25), (25, 29)]  # fmt: skip
        assert kinds_of_tokens(text, spans) == [
            "content", "punctuation", "whitespace", *["code"] * 8, "whitespace", "content"
        ]  # fmt: skip

    def test_a_fence_that_an_answer_never_closes_goes_to_the_end(self):
        assert {k for w, k in kinds("```\nthe dog\n\nof Paris")} == {"code"}

    def test_in_single_backticks_on_one_line(self):
        assert kind("Use the `print` call", "print") == "code"
        assert kind("a ` b\nand dogs` c", "dogs") == "content"

    @pytest.mark.parametrize(
        "word", ["https://a.org/x", "www.a.org", "my_name", "<br>", '<a href="x">', "\\frac"]
    )
    def test_what_looks_like_code_anywhere(self, word):
        assert kind(f"see {word} there", word) == "code"

    def test_what_does_not(self):
        assert kind("_really_ good", "really") != "code"
        assert [k for _, k in kinds("3 < 4 > 2")] == [
            "number", "punctuation", "number", "punctuation", "number"
        ]  # fmt: skip


class TestStyle:
    @pytest.mark.parametrize("mark", ["#", "###", "-", "+", "•", ">", "|", "*", "1.", "12)"])
    def test_layout_where_a_line_starts(self, mark):
        found = kinds(f"a dog\n{mark} dogs")
        assert {k for w, k in found[2:-1]} == {"style"}
        assert found[-1] == ("dogs", "content")

    def test_the_same_marks_elsewhere_are_punctuation_and_numbers(self):
        assert [k for w, k in kinds("dogs - 1. dogs")][1:4] == [
            "punctuation", "number", "punctuation"
        ]  # fmt: skip
        assert kind("-5 dogs", "-") == "punctuation"
        assert kind("2 * dogs", "*") == "punctuation"

    def test_bold_marks_anywhere(self):
        assert [k for w, k in kinds("a **dog** b") if w == "**"] == ["style", "style"]

    @pytest.mark.parametrize("phrase", OPENERS)
    def test_every_opening_where_a_sentence_or_line_begins(self, phrase):
        opening = phrase.capitalize()
        for text in (f"{opening} dogs", f"Dogs bark. {opening} dogs", f"Dogs\n- {opening} dogs"):
            found = [k for w, k in kinds(text)][-1 - len(phrase.split()) :]
            assert found == ["style"] * len(phrase.split()) + ["content"], text

    @pytest.mark.parametrize("word", sorted(OPENERS_BEFORE_A_MARK))
    def test_openings_that_want_a_mark(self, word):
        assert kinds(f"{word.capitalize()}, dogs")[0][1] == "style"
        if word not in STYLE_WORDS:
            assert kinds(f"{word.capitalize()} dogs")[0][1] != "style"

    def test_an_opening_is_none_within_a_sentence(self):
        assert [k for w, k in kinds("They do, of course")][-2:] == ["function", "content"]

    def test_the_longest_opening_is_taken_and_one_may_follow_with_a_comma(self):
        assert [k for w, k in kinds("Sure, here are some dogs")] == [
            "style", "punctuation", "style", "style", "style", "content"
        ]  # fmt: skip
        assert kind("Sure, dogs bark; here are cats", "here") == "function"

    @pytest.mark.parametrize("word", sorted(STYLE_WORDS))
    def test_style_words_anywhere(self, word):
        assert kind(f"dogs {word} bark", word) == "style"


class TestFunction:
    @pytest.mark.parametrize(
        "word", sorted(FUNCTION_WORDS - STYLE_WORDS - {"e.g", "i.e", "us", "it"})
    )
    def test_every_function_word_in_any_case(self, word):
        for form in (word, word.capitalize(), word.upper()):
            assert kind(f"dogs {form} dogs", form) == "function"

    @pytest.mark.parametrize("word", ["it's", "I'm", "we’ll", "isn't", "can't", "won’t", "e.g."])
    def test_contractions_and_dotted_ones(self, word):
        assert kind(f"dogs {word} dogs", word) == "function"

    def test_a_possessive_of_another_word_is_none(self):
        assert kind("the dog's tail", "dog's") == "content"


class TestNumber:
    @pytest.mark.parametrize(
        "word",
        ["7", "1,000", "3.5%", "$5", "€20", "1990s", "3rd", "10km", "12:30", "2020-2021", "½", "٣"],
    )
    def test_digits(self, word):
        assert kind(f"dogs {word} dogs", word) == "number"

    @pytest.mark.parametrize("word", [*sorted(NUMBER_WORDS), "twenty-one", "Forty-Second"])
    def test_number_words(self, word):
        assert kind(f"dogs {word} dogs", word) == "number"

    def test_one_is_a_function_word(self):
        assert kind("which one is", "one") == "function"


class TestName:
    @pytest.mark.parametrize("word", ["Paris", "Lin-Manuel", "Zürich", "Page's"])
    def test_a_capital_within_a_sentence(self, word):
        assert kind(f"dogs in {word} bark", word) == "name"

    @pytest.mark.parametrize("word", ["NASA", "U.S.", "JavaScript", "iPhone", "GPT-4", "H2O", "US"])
    def test_forms_that_are_names_anywhere(self, word):
        assert kind(f"dogs like {word} here", word) == "name"
        assert kind(f"{word} is here", word) == "name"

    @pytest.mark.parametrize("word", ["mp3", "IMPORTANT", "e"])
    def test_forms_that_are_not(self, word):
        assert kind(f"dogs like {word} here", word) == "content"

    @pytest.mark.parametrize("before", ["", "Dogs bark. ", "Dogs! ", "Dogs:\n", "Dogs: ", '"'])
    def test_a_capital_where_a_sentence_begins_proves_nothing(self, before):
        assert kinds(f"{before}Cats sleep")[-2] == ("Cats", "content")

    def test_but_the_same_capital_within_another_sentence_does(self):
        assert kinds("Paris is big. We like Paris.")[0] == ("Paris", "name")
        # unless the word stands somewhere without it
        assert kinds("Cats sleep. We like Cats and cats.")[0] == ("Cats", "content")

    def test_or_a_name_right_behind(self):
        assert [k for w, k in kinds("1. Meryl Streep\n2. J. Rowling") if w[0].isalpha()] == [
            "name", "name", "name", "name"
        ]  # fmt: skip
        assert kinds("Cats, Paris")[0] == ("Cats", "content")

    def test_a_full_stop_of_an_abbreviation_or_initial_ends_no_sentence(self):
        assert kind("we met Dr. Smith there", "Smith") == "name"
        assert kind("we met J. Smith there", "Smith") == "name"
        assert kind("we met dogs. Smith there", "Smith") == "content"

    @pytest.mark.parametrize(
        "text", ["## Steps of Regular Exercise", "**Steps of Regular Exercise**"]
    )
    def test_capitals_of_headings_and_bold_text_say_nothing(self, text):
        assert kind(text, "Regular") == kind(text, "Exercise") == "content"
        assert kind(f"{text}\nThis is Exercise.", "Regular") == "content"

    def test_a_heading_ends_with_its_line(self):
        assert kind("## Steps\nwe like Paris", "Paris") == "name"


@pytest.mark.parametrize("mark", [".", "...", "?!", "—", "&", "🙂", "👩‍💻", "=", "\ufffd"])
def test_punctuation(mark):
    assert kind(f"dogs {mark} dogs", mark) == "punctuation"


@pytest.mark.parametrize("word", ["собака", "Париж", "犬が好き", "हिन्दी", "كلب", "π"])
def test_words_of_other_scripts_are_other(word):
    assert kind(f"dogs {word} dogs", word) == "other"


def test_other_languages_of_latin_script_pass_through_the_english_lists():
    assert [k for w, k in kinds("nous aimons avec la ville")] == ["content"] * 5


def test_a_token_belongs_to_the_word_of_its_first_character_that_is_no_space():
    bounds = [(0, 2), (3, 6), (6, 7)]  # "ab cde."
    spans = [(0, 1), (1, 2), (2, 4), (4, 6), (6, 7), (2, 3), (7, 7), (5, 7)]
    assert word_of_tokens(spans, bounds) == [0, 0, 1, 1, 2, -1, -1, 1]
    assert word_of_tokens([(0, 1)], []) == [-1]
    assert word_of_tokens([], bounds) == []


def test_pieces_share_the_kind_of_their_word_and_what_writes_nothing_is_special():
    text = "Sure, Rumpelstiltskin sang\n"
    spans = [(0, 2), (2, 4), (4, 5), (5, 10), (10, 21), (21, 26), (26, 27), (27, 27)]
    assert kinds_of_tokens(text, spans) == [
        "style", "style", "punctuation", "name", "name", "content", "whitespace", "special"
    ]  # fmt: skip


def test_no_tokens_have_no_kinds():
    assert kinds_of_tokens("", []) == []
    assert kinds_of_tokens("", [(0, 0)]) == ["special"]
    assert kinds_of_tokens(" ", [(0, 1)]) == ["whitespace"]


PARTS = st.sampled_from(
    ["However", "the", "Paris", "dog", "7", "1.", "`", "```", "**", "#", "-", "\n", " ", ".", ",",
     "'", "_", "<", "犬", "\u0301", "\u0964", "🙂", "\u200d", "$", "²", "U.S.", "\\", "\x1c", "İ"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=60), st.lists(PARTS, max_size=30).map("".join))


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_words_cover_all_but_white_space_once_and_each_has_a_kind(text):
    found = words(text)
    covered = [place for start, end in found for place in range(start, end)]
    assert len(covered) == len(set(covered))
    assert covered == sorted(covered)
    outside = [c for i, c in enumerate(text) if i not in set(covered)]
    assert all(c.isspace() for c in outside)
    assert all(not text[start].isspace() for start, _ in found)
    got = kinds_of_words(text)
    assert len(got) == len(found)
    assert set(got) <= set(KINDS) - {"whitespace", "special"}


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.integers(1, 5))
def test_how_a_word_is_cut_into_tokens_does_not_matter(text, width):
    spans = [(i, min(i + width, len(text))) for i in range(0, len(text), width)]
    got = kinds_of_tokens(text, spans)
    of_words = kinds_of_words(text)
    for word, token in zip(word_of_tokens(spans, words(text)), got, strict=True):
        assert token == of_words[word] if word >= 0 else token in ("whitespace", "code")


@pytest.mark.parametrize(
    "text",
    ["word " * 40_000, "a" * 200_000, "`" * 20_001, "_" * 100_000, "a_" * 50_000, "<a " * 30_000,
     "However, Paris. " * 12_000, "* " * 50_000, "http://" * 20_000, "``a " * 20_000],
)  # fmt: skip
def test_long_and_odd_texts_take_no_time(text):
    spans = [(i, i + 4) for i in range(0, len(text) - 4, 4)][:50_000]
    start = time.process_time()
    kinds_of_tokens(text, spans)
    assert time.process_time() - start < 2  # 0.6 on an idle machine


def test_the_lists_do_not_contradict_each_other():
    assert not FUNCTION_WORDS & NUMBER_WORDS
    assert not FUNCTION_WORDS & STYLE_WORDS
    assert len(OPENERS) == len(set(OPENERS))
