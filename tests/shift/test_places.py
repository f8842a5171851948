"""Where a shift is, in hand-made tables."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune import schema
from aftertune.errors import InputError
from aftertune.shift import places
from aftertune.shift.places import (
    beginning,
    by_kind,
    by_tag,
    first_of_responses,
    first_of_sentences,
    token_kinds,
    where,
)

NAMES = {1: "unshifted", 2: "marginal", 3: "marginal"}


def token(response="a", position=0, kl=0.0, rank=1, span=(0, 1), **more):
    """One row of the tokens table."""
    row = {
        "response_id": response,
        "position": position,
        "token_id": 7,
        "token": "x",
        "char_start": span[0],
        "char_end": span[1],
        "sentence": 0,
        "position_in_sentence": position,
        "base_logprob": -1.0,
        "tuned_logprob": -1.0,
        "base_rank": 1,
        "tuned_rank": 1,
        "rank_ties": None if rank is None else 0,
        "is_tuned_argmax": True,
        "tuned_argmax": 7,
        "base_rank_of_tuned_argmax": rank,
        "base_prob_of_tuned_argmax": None if rank is None else 1 / rank,
        "kl_tuned_base_nats": kl,
        "kl_base_tuned_nats": 9.0,
        "js_nats": 0.1,
        "base_entropy_nats": 1.0,
        "tuned_entropy_nats": 1.0,
        "category": None if rank is None else NAMES.get(rank, "shifted"),
        "base_top": [],
        "tuned_top": [],
        "base_mass_outside_common": 0.0,
        "tuned_mass_outside_common": 0.0,
    }
    return row | more


def table(*rows):
    return schema.from_rows("tokens", list(rows))


def response(response_id="a", text="x", tags=None, prompt=None):
    return {
        "response_id": response_id,
        "prompt_id": prompt or f"p-{response_id}",
        "row_index": 0,
        "sample": 0,
        "model": "m",
        "messages": [],
        "response": text,
        "prompt_token_ids": [1],
        "response_token_ids": [7],
        "finish_reason": "stop",
        "ids_from": "generated",
        "tags": json.dumps(tags or {}),
    }


def responses(*rows):
    return schema.from_rows("responses", list(rows))


def worded():
    """Responses a "However, Paris" and b "the dog sleeps"; a stop token behind each."""
    rows = [
        token("a", 0, 4.0, 9, (0, 7)),
        token("a", 1, 0.0, 1, (7, 8)),
        token("a", 2, 1.0, 2, (8, 11)),  # " Pa"
        token("a", 3, 1.0, None, (11, 14)),  # "ris"
        token("a", 4, 2.0, 4, (14, 14)),
        token("b", 0, 0.0, 1, (0, 3)),
        token("b", 1, 1.0, 3, (3, 7)),
        token("b", 2, 0.0, 1, (7, 14)),
        token("b", 3, 1.0, 1, (14, 14)),
    ]
    return table(*rows), responses(response("a", "However, Paris"), response("b", "the dog sleeps"))


def test_kinds_of_tokens_come_from_the_text_of_their_response():
    tokens, texts = worded()
    expected = ["style", "punctuation", "name", "name", "special", "function", "content",
                "content", "special"]  # fmt: skip
    assert token_kinds(tokens, texts) == expected
    # in whatever order the responses, and the rows, stand
    order = [8, 0, 5, 1, 6, 2, 7, 3, 4]
    mixed = token_kinds(tokens.take(order), texts.take([1, 0]))
    assert mixed == [expected[i] for i in order]


def test_by_kind_by_hand():
    found = {entry["kind"]: entry for entry in by_kind(*worded())}
    assert list(found) == ["style", "function", "content", "name", "punctuation", "special"]
    assert {k: (e["n_tokens"], e["n_responses"]) for k, e in found.items()} == {
        "style": (1, 1), "function": (1, 1), "content": (2, 1), "name": (2, 1),
        "punctuation": (1, 1), "special": (2, 2),
    }  # fmt: skip
    mean = {kind: entry["kl"]["estimate"] for kind, entry in found.items()}
    assert mean == {
        "style": 4, "function": 0, "content": 0.5, "name": 1, "punctuation": 0, "special": 1.5,
    }  # fmt: skip
    assert found["content"]["share_of_tokens"]["estimate"] == pytest.approx(2 / 9)
    assert found["style"]["share_of_kl"]["estimate"] == pytest.approx(0.4)  # 4 of 10 nats
    shares = found["content"]["categories"]
    assert {name: share["estimate"] for name, share in shares.items()} == {
        "unshifted": 0.5, "marginal": 0.5, "shifted": 0,
    }  # fmt: skip
    # one of the two pieces of Paris has no rank, so the other is all
    assert found["name"]["categories"]["marginal"]["estimate"] == 1
    assert found["style"]["kl"]["reason"] == "one prompt has no interval"
    assert found["special"]["kl"]["low"] is not None


def test_the_shares_of_kinds_add_up():
    found = by_kind(*worded())
    for name in ("share_of_tokens", "share_of_kl"):
        assert sum(entry[name]["estimate"] for entry in found) == pytest.approx(1)


def test_no_shift_has_no_share_of_it():
    entries = by_kind(table(token("a"), token("b")), responses(response("a"), response("b")))
    (entry,) = entries
    assert (entry["kl"]["estimate"], entry["kl"]["low"], entry["kl"]["high"]) == (0, 0, 0)
    assert entry["share_of_kl"]["estimate"] is None
    assert entry["share_of_kl"]["reason"] == "no values"
    assert entry["categories"]["unshifted"]["estimate"] == 1


def test_an_infinite_divergence_makes_its_kind_absent_and_no_other():
    tokens = table(token("a", 0, np.inf), token("a", 1, 1.0, span=(1, 2)), token("b", 0, 1.0))
    texts = responses(response("a", "x."), response("b", "x."))
    found = {entry["kind"]: entry for entry in by_kind(tokens, texts)}
    assert found["content"]["kl"]["reason"] == "a value is not finite"
    assert found["punctuation"]["kl"]["estimate"] == 1


def tagged():
    """Three responses with 1, 2 and 1 tokens."""
    tokens = table(
        token("a", 0, 3.0, 9), token("b", 0, 1.0), token("b", 1, 0.0), token("c", 0, 2.0)
    )
    tags = [
        {"task_types": ["math", "coding"], "source": "lima", "id": "1", "level": 1, "n": "x"},
        {"task_types": ["math", "math"], "source": "mt", "id": "2", "level": 2, "n": "x"},
        {"source": "mt", "id": "3", "level": "3", "n": "x", "notes": "y" * 81},
    ]
    named = [response(name, "x y", held) for name, held in zip("abc", tags, strict=True)]
    return tokens, responses(*named)


def test_by_tag_by_hand():
    found, left_out = by_tag(*tagged())
    assert list(found) == ["source", "task_types"]
    math, coding = found["task_types"]
    # b says math twice and counts once; c has no task type and is in neither
    assert (math["value"], math["n_responses"], math["n_tokens"]) == ("math", 2, 3)
    assert (coding["value"], coding["n_responses"], coding["n_tokens"]) == ("coding", 1, 1)
    assert math["kl"]["per_token"]["estimate"] == pytest.approx(4 / 3)
    assert math["kl"]["per_response"]["estimate"] == pytest.approx((3 + 0.5) / 2)
    assert math["kl"]["per_response"]["n"] == 2
    assert math["categories"]["shifted"]["estimate"] == pytest.approx(1 / 3)
    assert coding["kl"]["per_token"]["reason"] == "one prompt has no interval"
    assert [entry["value"] for entry in found["source"]] == ["mt", "lima"]
    assert left_out == {
        "id": places.ALL_ALONE,
        "level": places.NOT_STRINGS,
        "n": places.ONE_VALUE,
        "notes": places.FREE_TEXT,
    }


def test_a_tag_of_too_many_values_is_none():
    names = [str(i) for i in range(64)]
    tokens = table(*(token(name) for name in names))
    held = [response(name, tags={"k": f"v{i // 2}"}) for i, name in enumerate(names)]
    assert by_tag(tokens, responses(*held)) == ({}, {"k": places.TOO_MANY})


def test_responses_that_were_not_scored_are_in_no_group():
    tokens, texts = tagged()
    found, _ = by_tag(tokens.slice(0, 3), texts)
    assert sum(entry["n_responses"] for entry in found["task_types"]) == 3
    assert "source" not in found  # lima once, mt once


def test_a_response_that_is_missing_is_the_users_to_mend():
    tokens, texts = tagged()
    for call in (by_tag, by_kind):
        with pytest.raises(InputError, match=r"'c'.*give the responses that were scored"):
            call(tokens, texts.slice(0, 2))


def test_the_first_twentieth_is_rounded_down_but_one_at_least():
    rows = [token("a", i) for i in range(40)]
    rows += [token("a", 40 + i, sentence=1, position_in_sentence=i) for i in range(3)]
    rows += [token("b", i) for i in range(19)]
    made = table(*rows)
    assert np.flatnonzero(first_of_sentences(made)).tolist() == [0, 1, 40, 43]
    assert np.flatnonzero(first_of_responses(made)).tolist() == [0, 1, 43]  # 5% of 43 and of 19


def test_a_beginning_by_hand():
    # each response: a first token of KL 4 at entropy 2, then KL 3 at entropy 2 and KL 0 at 0.5
    rows = [
        token(r, i, kl, base_entropy_nats=entropy)
        for r in "ab"
        for i, (kl, entropy) in enumerate([(4.0, 2.0), (3.0, 2.0), (0.0, 0.5), (0.0, 0.5)])
    ]
    made = table(*rows)
    found = beginning(made, first_of_responses(made))
    assert found["first"]["estimate"] == 4
    assert found["rest"]["estimate"] == 1
    assert found["difference"]["estimate"] == 3
    equal = found["at_equal_entropy"]
    # only the tokens of entropy 2 have a counterpart
    assert (equal["first"]["estimate"], equal["rest"]["estimate"]) == (4, 3)
    assert equal["difference"]["estimate"] == pytest.approx(1)
    assert equal["entropy_difference"]["estimate"] == 0
    assert (equal["n_first_used"], equal["n_rest"], equal["n_rest_used"]) == (2, 6, 2)


def test_no_overlap_is_absent_with_its_reason():
    made = table(token("a", 0, 4.0, base_entropy_nats=3.0), token("a", 1), token("b", 0, 1.0))
    equal = beginning(made, np.array([True, False, False]))["at_equal_entropy"]
    assert equal["difference"]["estimate"] is None
    assert equal["difference"]["reason"] == "no stratum holds values of both sides"


def test_one_token_alone_has_no_rest():
    made = table(token("a", 0, 1.0))
    found = beginning(made, first_of_responses(made))
    assert found["first"]["estimate"] == 1
    assert found["rest"]["reason"] == "no values"
    assert found["at_equal_entropy"]["difference"]["reason"] == "no values of the rest"


def test_no_tokens_give_absent_values_and_json():
    found = where(table(), responses())
    assert found["kinds"] == []
    assert found["tags"] == found["tags_left_out"] == {}
    assert found["frequent_words"] == {"marginal": [], "shifted": []}
    assert found["sentence_start"]["difference"]["reason"] == "no values"
    assert found["response_start"]["at_equal_entropy"]["difference"]["reason"] == "no values"
    json.dumps(found, allow_nan=False)


def test_all_together_is_json_and_the_same_for_the_same_seed():
    tokens, texts = worded()
    found = where(tokens, texts, seed=3)
    assert set(found) == {
        "kinds", "tags", "tags_left_out", "sentence_start", "response_start", "frequent_words"
    }  # fmt: skip
    assert json.dumps(found, allow_nan=False) == json.dumps(where(tokens, texts, 3))


def means(found):
    """Every interval in what `where` found, by its way there."""
    if isinstance(found, list):
        found = dict(enumerate(found))
    if not isinstance(found, dict):
        return {}
    if "low" in found:
        return {"": (found["estimate"], found["low"], found["high"])}
    return {f"{k}/{way}": edges for k, v in found.items() for way, edges in means(v).items()}


def test_a_prompt_that_is_asked_twice_is_one_witness():
    """Thirty copies of each answer, under the same prompts, change no mean and no interval."""
    rng = np.random.default_rng(0)
    values = {name: rng.gamma(1, 1, 12) for name in "abcd"}

    def made(copies):
        rows, texts = [], []
        for copy in range(copies):
            for name, kl in values.items():
                own = f"{name}{copy}"
                rows += [token(own, i, v, 1 + i % 5, (2 * i, 2 * i + 1), base_entropy_nats=v)
                         for i, v in enumerate(kl)]  # fmt: skip
                tags = {"task": "x" if name < "c" else "y"}
                texts.append(response(own, "I 1 a b c d ! e f g 7 .", tags, name))
        return table(*rows), responses(*texts)

    (tokens, texts), copies = made(1), where(*made(30), seed=1)
    once = where(tokens, texts, seed=1)
    # the number of strata of equal entropy depends on the number of tokens
    ways = [way for way in means(once) if "at_equal_entropy" not in way]
    assert len(ways) > 30
    for way in ways:
        assert means(copies)[way] == pytest.approx(means(once)[way]), way
    assert copies["kinds"][0]["n_responses"] == 30 * once["kinds"][0]["n_responses"]


def test_frequent_words_by_hand():
    tokens, texts = worded()
    # However: 9th; Paris: its first piece 2nd, its second without a rank; dog: 3rd
    assert where(tokens, texts)["frequent_words"] == {
        "marginal": [
            {"word": "Paris", "kind": "name", "n": 1, "n_all": 1},
            {"word": "dog", "kind": "content", "n": 1, "n_all": 1},
        ],
        "shifted": [{"word": "however", "kind": "style", "n": 1, "n_all": 1}],
    }


def test_words_count_by_the_token_that_starts_them():
    # "The cat. the cats": "cats" is written by " c" and "ats", "the" by ". the" in one token
    spans = [(0, 3), (3, 7), (7, 12), (12, 14), (14, 17)]
    ranks = [9, 9, 9, 2, 9]
    rows = [token("a", i, 0.0, rank, span) for i, (rank, span) in
            enumerate(zip(ranks, spans, strict=True))]  # fmt: skip
    text = responses(response("a", "The cat. the cats"))
    words = where(table(*rows[::-1]), text)["frequent_words"]  # in whatever order the rows stand
    assert [(e["word"], e["n"], e["n_all"]) for e in words["shifted"]] == [
        ("the", 2, 2), ("cat", 1, 1),
    ]  # fmt: skip
    assert [(e["word"], e["n"]) for e in words["marginal"]] == [("cats", 1)]


def test_bytes_of_one_character_give_the_word_the_first_one_and_the_stop_none():
    spans = [(0, 1), (0, 1), (1, 3), (3, 3)]  # "éta" as two bytes, "ta" and the stop
    ranks = [2, 9, 9, 9]
    rows = [token("a", i, 0.0, rank, span) for i, (rank, span) in
            enumerate(zip(ranks, spans, strict=True))]  # fmt: skip
    words = where(table(*rows), responses(response("a", "éta")))["frequent_words"]
    assert [e["word"] for e in words["marginal"]] == ["éta"]
    assert words["shifted"] == []


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcd"),
            st.floats(0, 20, width=32),
            st.integers(1, 9),
            st.integers(0, 30),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_means_agree_with_pandas(values):
    text = "However, the 12 dogs of Paris `ate` it."
    rows = [token(r, i, kl, rank, (at, at + 2)) for i, (r, kl, rank, at) in enumerate(values)]
    made, texts = table(*rows), responses(*(response(r, text, {"t": (r < "c" and "x") or "y"}) for r in "abcd"))  # fmt: skip # noqa: E501
    frame = made.to_pandas().assign(kind=token_kinds(made, texts))
    frame["tag"] = ["x" if r < "c" else "y" for r in frame["response_id"]]
    by = frame.groupby("kind")
    for entry in by_kind(made, texts):
        own = by.get_group(entry["kind"])
        assert entry["kl"]["estimate"] == pytest.approx(own["kl_tuned_base_nats"].mean())
        shifted = entry["categories"]["shifted"]["estimate"]
        assert shifted == pytest.approx((own["category"] == "shifted").mean())
    found, _ = by_tag(made, texts)
    for entry in found.get("t", []):
        own = frame[frame["tag"] == entry["value"]]
        expected = own["kl_tuned_base_nats"].mean()
        assert entry["kl"]["per_token"]["estimate"] == pytest.approx(expected)
