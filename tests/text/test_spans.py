"""Every token's characters, on byte-level, byte-fallback, word-piece and window-only tokenizers."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from aftertune.errors import InputError
from aftertune.text import spans as module
from aftertune.text.spans import pieces, spans
from made_tokenizers import byte_level, sentencepiece_like

BYTE_LEVEL = byte_level()
SENTENCEPIECE = sentencepiece_like()
STOP = 2  # the end token of both

TEXTS = st.text(
    st.one_of(
        st.sampled_from("the in a. \n🙂👩‍🚀é́नि日本語עבריתمرحبا\u200d\u202e\ufffd"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=40,
)


def decode(tokenizer, ids):
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def of_ids(tokenizer, ids):
    return spans(tokenizer, ids, decode(tokenizer, ids))


def encode(tokenizer, text):
    return tokenizer(text, add_special_tokens=False).input_ids


def assert_sound(found, ids, text):
    """One span per id, starts that never go back, every character covered."""
    assert len(found) == len(ids)
    assert [start for start, _ in found] == sorted(start for start, _ in found)
    assert all(0 <= start <= end <= len(text) for start, end in found)
    covered = set()
    for start, end in found:
        covered.update(range(start, end))
    assert covered == set(range(len(text)))


def test_spans_by_hand_of_a_byte_level_text_with_an_emoji_and_a_stop_token():
    text = "the 🙂 in"
    ids = [*encode(BYTE_LEVEL, text), STOP]
    names = BYTE_LEVEL.convert_ids_to_tokens(ids)
    assert names == ["t", "he", "ĠðŁ", "ĻĤ", "Ġin", "<|im_end|>"]
    # " " and the emoji's first two bytes; its last two bytes; " in"; nothing
    assert spans(BYTE_LEVEL, ids, text) == [(0, 1), (1, 3), (3, 5), (4, 5), (5, 8), (8, 8)]


def test_spans_by_hand_of_a_byte_fallback_text():
    text = "the 🙂 in"
    ids = [*encode(SENTENCEPIECE, text), STOP]
    assert SENTENCEPIECE.convert_ids_to_tokens(ids) == [
        "▁the", "▁", "<0xF0>", "<0x9F>", "<0x99>", "<0x82>", "▁", "in", "</s>"
    ]  # fmt: skip
    # the first token's space is not in the text; the emoji is four tokens with one span
    emoji = [(4, 5)] * 4
    assert spans(SENTENCEPIECE, ids, text) == [(0, 3), (3, 4), *emoji, (5, 6), (6, 8), (8, 8)]


def test_no_ids_have_no_spans_and_a_lone_stop_token_an_empty_one():
    for tokenizer in (BYTE_LEVEL, SENTENCEPIECE):
        assert spans(tokenizer, [], "") == []
        assert spans(tokenizer, [STOP], "") == [(0, 0)]


def test_special_tokens_inside_have_empty_spans_at_their_place():
    ids = [STOP, *encode(BYTE_LEVEL, "in"), STOP, STOP, *encode(BYTE_LEVEL, " in")]
    found = spans(BYTE_LEVEL, ids, "in in")
    assert found == [(0, 0), (0, 2), (2, 2), (2, 2), (2, 5)]


def test_a_special_token_between_the_bytes_of_a_character():
    first, last = encode(BYTE_LEVEL, " 🙂")
    assert spans(BYTE_LEVEL, [first, STOP, last], " 🙂") == [(0, 2), (1, 1), (1, 2)]


def test_combining_marks_and_right_to_left_are_counted_in_code_points():
    text = "e\u0301 עב"  # e, combining acute, space, two Hebrew letters: five code points
    ids = encode(BYTE_LEVEL, text)
    found = spans(BYTE_LEVEL, ids, text)
    assert found[-1][1] == len(text) == 5
    # every code point beyond ASCII is two byte pieces here, which share one span
    names = BYTE_LEVEL.convert_ids_to_tokens(ids)
    assert len(names) == 1 + 2 + 1 + 2 + 2
    assert found == [(0, 1), (1, 2), (1, 2), (2, 3), (3, 4), (3, 4), (4, 5), (4, 5)]


def byte_ids(tokenizer, data):
    if tokenizer is SENTENCEPIECE:
        return tokenizer.convert_tokens_to_ids([f"<0x{byte:02X}>" for byte in data])
    names = {value: key for key, value in module._byte_level_alphabet().items()}
    return tokenizer.convert_tokens_to_ids([names[byte] for byte in data])


def test_broken_bytes_by_hand():
    # E2 82 begins a character that never ends: one U+FFFD, then "a"
    assert of_ids(BYTE_LEVEL, byte_ids(BYTE_LEVEL, b"\xe2\x82a")) == [(0, 1), (0, 1), (1, 2)]
    # FF is never valid and stands alone; the two bytes at the end are again one
    broken = byte_ids(BYTE_LEVEL, b"\xff\xffa\xf0\x9f")
    assert of_ids(BYTE_LEVEL, broken) == [(0, 1), (1, 2), (2, 3), (3, 4), (3, 4)]
    # the sentencepiece decoder writes one U+FFFD per byte of a broken run
    assert of_ids(SENTENCEPIECE, byte_ids(SENTENCEPIECE, b"\xe2\x82")) == [(0, 1), (1, 2)]


def test_the_beginning_of_a_surrogate_is_two_broken_characters():
    # ED may begin a character but A0 may not follow it: one U+FFFD for each
    assert of_ids(BYTE_LEVEL, byte_ids(BYTE_LEVEL, b"\xed\xa0")) == [(0, 1), (1, 2)]
    assert of_ids(BYTE_LEVEL, byte_ids(BYTE_LEVEL, b"\xed\xa0a")) == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize("tokenizer", [BYTE_LEVEL, SENTENCEPIECE], ids=["byte-level", "fallback"])
@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=24))
def test_any_bytes_are_covered(tokenizer, data):
    ids = byte_ids(tokenizer, data)
    text = decode(tokenizer, ids)
    found = module._by_bytes(tokenizer, ids, text)
    assert found is not None, "the exact way must do for these tokenizers"
    assert_sound(found, ids, text)
    assert all(end - start == 1 for start, end in found[1:])  # the first may be a dropped space


@pytest.mark.parametrize("tokenizer", [BYTE_LEVEL, SENTENCEPIECE], ids=["byte-level", "fallback"])
@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_any_text_agrees_with_the_window_and_with_the_tokenizer_itself(tokenizer, text):
    ids = encode(tokenizer, text)
    decoded = decode(tokenizer, ids)
    found = spans(tokenizer, ids, decoded)
    assert_sound(found, ids, decoded)
    assert module._by_bytes(tokenizer, ids, decoded) == found
    if "\ufffd" not in text:
        assert module._by_window(tokenizer, ids, decoded) == found
    for token_id, (start, end) in zip(ids, found, strict=True):
        alone = decode(tokenizer, [token_id])
        if "\ufffd" not in alone and not alone.startswith(" ") and start:
            assert decoded[start:end].lstrip(" ") == alone


@settings(max_examples=60, deadline=None)
@given(ids=st.lists(st.integers(0, len(SENTENCEPIECE) - 1), max_size=60))
def test_ids_that_no_text_would_give(ids):
    for tokenizer in (BYTE_LEVEL, SENTENCEPIECE):
        some = [token_id % len(tokenizer) for token_id in ids]
        text = decode(tokenizer, some)
        assert_sound(spans(tokenizer, some, text), some, text)


def word_piece():
    vocab = {name: place for place, name in enumerate(
        ["[UNK]", "[SEP]", "play", "##ing", "the", ".", "do", "n", "'", "t", "a"]
    )}  # fmt: skip
    core = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece(cleanup=True)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="[SEP]", unk_token="[UNK]")


def test_word_pieces_take_the_space_before_them():
    tokenizer = word_piece()
    ids = [*encode(tokenizer, "playing the play."), 1]
    assert decode(tokenizer, ids) == "playing the play."
    assert of_ids(tokenizer, ids) == [(0, 4), (4, 7), (7, 11), (11, 16), (16, 17), (17, 17)]


class Hidden:
    """A tokenizer that only decodes, like those that are written in Python."""

    is_fast = False

    def __init__(self, inner):
        self.inner, self.all_special_ids = inner, inner.all_special_ids
        self.decode, self.longest = self._decode, 0

    def _decode(self, ids, **options):
        self.longest = max(self.longest, len(ids))
        return self.inner.decode(ids, **options)


@pytest.mark.parametrize("tokenizer", [BYTE_LEVEL, SENTENCEPIECE], ids=["byte-level", "fallback"])
def test_the_window_serves_tokenizers_that_hide_their_bytes(tokenizer):
    text = "the 🙂 in 日本 " * 50
    ids = [*encode(tokenizer, text), STOP]
    decoded = decode(tokenizer, ids)
    hidden = Hidden(tokenizer)
    assert module._by_window(hidden, ids, decoded) == spans(tokenizer, ids, decoded)
    assert hidden.longest < 16  # and it stays small


def test_other_text_than_the_ids_decode_to_is_refused():
    with pytest.raises(InputError, match="not what its token ids decode to"):
        spans(BYTE_LEVEL, encode(BYTE_LEVEL, "the"), "thee")


def test_time_is_linear_and_fifty_thousand_tokens_take_seconds():
    text = "the 🙂🙂 é́ naïve 日本語 עברית. " * 1500
    ids = encode(BYTE_LEVEL, text)
    assert len(ids) > 45_000
    before = time.process_time()
    assert_sound(spans(BYTE_LEVEL, ids, text), ids, text)
    assert time.process_time() - before < 4


def test_pieces_are_the_vocabularys_own_and_say_what_is_missing():
    ids = [*encode(BYTE_LEVEL, "the in"), STOP, 99_999]
    assert pieces(BYTE_LEVEL, ids) == ["t", "he", "Ġin", "<|im_end|>", "<id 99999>"]
    assert pieces(BYTE_LEVEL, []) == []
