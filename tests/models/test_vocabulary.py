"""Common ids: identity, by hand, properties, and real tokenizers with added tokens."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from aftertune.errors import VocabularyError
from aftertune.models import vocabulary
from aftertune.models.vocabulary import between, compare, of

LETTERS = {"a": 0, "b": 1, "c": 2, "<s>": 3}


def test_a_vocabulary_with_itself() -> None:
    same = compare(LETTERS, LETTERS)
    assert same.common.tolist() == [0, 1, 2, 3]
    assert same.common.dtype == np.int64
    assert same.is_identical
    assert same.warning() is None


def test_by_hand() -> None:
    # base: 0..3 named, 4 and 5 padding of its matrix; tuned: adds [PAD] at 4, no padding
    found = compare(LETTERS, {**LETTERS, "[PAD]": 4}, {3}, {3, 4}, base_size=6, tuned_size=5)
    assert found.common.tolist() == [0, 1, 2, 3]
    assert found.tuned_only.tolist() == [4]
    assert found.base_only.tolist() == []
    assert found.n_unnamed == 1  # id 5
    assert not found.is_identical
    assert found.describe()["n_common"] == 4


def test_a_tokenizer_larger_than_its_model() -> None:
    # id 3 has a string but no row in the base's matrix: it can never be produced there
    found = compare(LETTERS, LETTERS, base_size=3, tuned_size=4)
    assert found.common.tolist() == [0, 1, 2]
    assert found.tuned_only.tolist() == [3]


def test_the_first_id_that_means_two_strings_is_named() -> None:
    with pytest.raises(VocabularyError, match=r"token id 1 is 'b' .* 'z'") as error:
        compare(LETTERS, {"a": 0, "z": 1, "y": 2, "<s>": 3})
    assert "\n" not in str(error.value)


def test_special_tokens_may_be_renamed() -> None:
    base = {"a": 0, "<|reserved_1|>": 1, "<unk>": 2}
    tuned = {"a": 0, "<|im_start|>": 1, "[PAD]": 2}
    found = compare(base, tuned, {1, 2}, {1, 2})
    assert found.renamed == [(1, "<|reserved_1|>", "<|im_start|>"), (2, "<unk>", "[PAD]")]
    assert found.common.tolist() == [0, 1, 2]
    assert "<|reserved_1|> -> <|im_start|>" in (found.warning() or "")
    assert not found.is_identical


@pytest.mark.parametrize("placeholder", ["[unused7]", "<extra_id_3>", "<|reserved_12|>",
                                         "<unused0>", "madeupword0001"])  # fmt: skip
def test_a_placeholder_may_become_special(placeholder: str) -> None:
    assert compare({placeholder: 0}, {"<|im_start|>": 0}, (), {0}).renamed


@pytest.mark.parametrize("ordinary", ["extra", "the", "<div>", "[]", "special"])
def test_an_ordinary_token_may_not_become_special(ordinary: str) -> None:
    with pytest.raises(VocabularyError, match="token id 0"):
        compare({ordinary: 0}, {"<|im_start|>": 0}, (), {0})


def test_a_special_token_may_not_become_ordinary() -> None:
    with pytest.raises(VocabularyError, match="token id 0"):
        compare({"<s>": 0}, {"the": 0}, {0}, ())


def test_the_old_string_of_a_renamed_token_may_stay_in_the_vocabulary() -> None:
    base, tuned = {"a": 0, "<r>": 1}, {"a": 0, "<r>": 1, "<|im_start|>": 1}
    assert compare(base, tuned).renamed == []


def test_nothing_in_common() -> None:
    for base, tuned in (({}, {}), ({"a": 0}, {"b": 1})):
        with pytest.raises(VocabularyError, match="no token id in common"):
            compare(base, tuned)


def test_many_renamed_tokens_make_one_sentence() -> None:
    base = {f"<r{i}>": i for i in range(9)}
    tuned = {f"<t{i}>": i for i in range(9)}
    warning = compare(base, tuned, range(9), range(9)).warning()
    assert warning is not None
    assert "and 6 more" in warning


vocabularies = st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=30, unique=True)


@given(vocabularies, st.integers(0, 5), st.integers(0, 5), st.integers(0, 8), st.integers(0, 8))
def test_every_id_is_in_exactly_one_group(
    words: list[str], base_added: int, tuned_added: int, base_pad: int, tuned_pad: int
) -> None:
    shared = {word: i for i, word in enumerate(words)}
    n = len(words)
    base = {**shared, **{f"<<base{i}>>": n + i for i in range(base_added)}}
    tuned = {**shared, **{f"<<tuned{i}>>": n + i for i in range(tuned_added)}}
    sizes = (len(base) + base_pad, len(tuned) + tuned_pad)
    added = range(n, n + 5)
    found = compare(base, tuned, added, added, *sizes)
    groups = [found.common, found.base_only, found.tuned_only]
    together = np.concatenate(groups)
    assert len(set(together.tolist())) == len(together)
    assert len(together) + found.n_unnamed == max(sizes)
    assert found.common.tolist() == list(range(n + min(base_added, tuned_added)))
    assert len(found.renamed) == min(base_added, tuned_added)
    mirrored = compare(tuned, base, added, added, sizes[1], sizes[0])
    assert mirrored.common.tolist() == found.common.tolist()
    assert mirrored.base_only.tolist() == found.tuned_only.tolist()


@given(vocabularies, st.data())
def test_one_changed_string_is_always_found(words: list[str], data: st.DataObject) -> None:
    base = {word: i for i, word in enumerate(words)}
    wrong = data.draw(st.integers(0, len(words) - 1))
    tuned = {("<changed>" + word if i == wrong else word): i for word, i in base.items()}
    with pytest.raises(VocabularyError, match=f"token id {wrong} is"):
        compare(base, tuned)


def test_real_tokenizers_with_added_tokens(tiny_llama: Path) -> None:
    base = AutoTokenizer.from_pretrained(tiny_llama)
    tuned = AutoTokenizer.from_pretrained(tiny_llama)
    tuned.add_special_tokens({"additional_special_tokens": ["<|extra|>", "<|more|>"]})
    size = len(base)
    found = between(of(base, size), of(tuned, size + 10))
    assert found.common.tolist() == list(range(size))
    assert found.tuned_only.tolist() == [size, size + 1]
    assert found.n_unnamed == 8
    assert {size, size + 1} <= of(tuned).special
    assert of(tuned).size == size + 2


def test_real_tokenizers_of_two_families_do_not_agree(tiny_llama: Path, tmp_path: Path) -> None:
    base = AutoTokenizer.from_pretrained(tiny_llama)
    side = of(base)
    shifted = {token: (i + 1) % len(side.vocab) for token, i in side.vocab.items()}
    with pytest.raises(VocabularyError, match="token id 0"):
        between(side, vocabulary.Side(shifted, frozenset(), side.size))
