"""Near duplicates: exact against a plain computation, in any order, and bounded in cost."""

import random
import time
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertune.data.clusters import cluster_ids, clusters, jaccard, near_pairs, shingle_sets, words


def sentence(n: int, start: int = 0) -> list[str]:
    return [f"w{i}" for i in range(start, start + n)]


def test_words_ignore_case_and_punctuation() -> None:
    assert words("Don't STOP, me-now!") == ["don", "t", "stop", "me", "now"]
    assert words("日本 abc") == ["日", "本", "abc"]  # a script without spaces
    assert words("?! +") == ["?", "!", "+"]  # nothing but marks
    assert words("") == []


def test_jaccard_of_a_set_with_itself_is_one_and_of_disjoint_sets_zero() -> None:
    one, other = shingle_sets(["a b c d e", "v w x y z"])
    assert jaccard(one, one) == 1
    assert jaccard(one, other) == 0


def test_jaccard_by_hand() -> None:
    # 32 words: 30 shingles. The word in the middle changed: 3 of them differ.
    # shared 27, all 27 + 3 + 3 = 33
    changed = sentence(32)
    changed[15] = "other"
    one, other = shingle_sets([" ".join(sentence(32)), " ".join(changed)])
    assert (len(one), len(other)) == (30, 30)
    assert jaccard(one, other) == pytest.approx(27 / 33)


def test_the_threshold_itself_is_near() -> None:
    # 12 words: 10 shingles; two words dropped at the end: 8 shingles, all shared: 8/10 = 0.8
    # three dropped: 7/10
    texts = [" ".join(sentence(n)) for n in (12, 10, 9)]
    assert clusters(texts[:2]) == [0, 0]
    assert clusters([texts[0], texts[2]]) == [0, 1]
    # by way of the middle one (7/8 of it) all three are together
    assert clusters(texts) == [0, 0, 0]


def test_short_texts_are_compared_as_a_whole() -> None:
    assert clusters(["hi", "Hi!", "hi there", "Hi, there.", "there hi"]) == [0, 0, 1, 1, 2]


def test_the_empty_case() -> None:
    assert clusters([]) == []
    assert cluster_ids([], []) == []
    assert near_pairs([], ["a"]) == []
    assert clusters(["", " "]) == [0, 0]  # nothing said is the same as nothing said


def test_cluster_ids_do_not_depend_on_the_order() -> None:
    rng = random.Random(0)
    texts = []
    for family in range(12):
        base = sentence(60, 100 * family)
        for _ in range(4):  # two of them share at least 52 of 64 shingles
            words_ = list(base)
            words_[rng.randrange(60)] = f"x{rng.randrange(9999)}"
            texts.append(" ".join(words_))
    ids = [f"r-{i:04d}" for i in range(len(texts))]
    expected = dict(zip(ids, cluster_ids(ids, texts), strict=True))
    assert len(set(expected.values())) == 12
    assert expected["r-0003"] == "c-0000"  # the smallest id of its cluster
    order = list(range(len(texts)))
    rng.shuffle(order)
    shuffled = cluster_ids([ids[i] for i in order], [texts[i] for i in order])
    assert {ids[i]: c for i, c in zip(order, shuffled, strict=True)} == expected


def plain_near(one: str, other: str) -> bool:
    a, b = (
        {tuple(said[i : i + 3]) for i in range(max(1, len(said) - 2))}
        for said in (one.split(), other.split())
    )
    return 5 * len(a & b) >= 4 * len(a | b)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=14), min_size=1, max_size=14)
)
def test_the_same_as_comparing_every_pair(texts_as_words: list[list[str]]) -> None:
    texts = [" ".join(said) for said in texts_as_words]
    near = [(i, j) for i, j in combinations(range(len(texts)), 2) if plain_near(texts[i], texts[j])]
    group = list(range(len(texts)))
    for _ in texts:
        for i, j in near:
            group[i] = group[j] = min(group[i], group[j])
    found = clusters(texts)
    for i, j in combinations(range(len(texts)), 2):
        assert (found[i] == found[j]) == (group[i] == group[j])
    pairs = {(i, j) for i, j, _ in near_pairs(texts, texts)}
    assert pairs == set(near) | {(j, i) for i, j in near} | {(i, i) for i in range(len(texts))}


def test_near_pairs_give_the_similarity() -> None:
    (pair,) = near_pairs([" ".join(sentence(10))], ["other", " ".join(sentence(12))])
    assert pair == (0, 1, pytest.approx(0.8))


@pytest.mark.parametrize("kind", ["copies", "variants"])
def test_many_alike_do_not_cost_a_comparison_per_pair(kind: str) -> None:
    texts = ["word"] * 200_000
    if kind == "variants":
        texts = [" ".join([*sentence(60), f"x{i}"]) for i in range(3000)]
    since = time.process_time()
    assert np.unique(clusters(texts)).tolist() == [0]
    assert time.process_time() - since < 15  # every pair of them would take minutes
