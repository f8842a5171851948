"""The rows as a whole: which are borrowed from how often, and in which families."""

from typing import Any

from aftertune.trace.families import DROP, SIMPLIFY, borrowed, families, what_to_do


def span(
    response: str, row: int, score: float, q: float | None = None, kind: str = "copied",
    added: float | None = None, shared: tuple[tuple[int, int], ...] = (),
) -> Any:  # fmt: skip
    return {
        "response_id": response, "char_start": 0, "row_index": row, "row_id": f"r-{row}",
        "cluster_id": f"c-{row}", "score": score, "q_value": q, "kind": kind,
        "base_logprob": None if added is None else -5.0,
        "tuned_logprob": None if added is None else -5.0 + added,
        "shared": [{"row_start": start, "row_end": end} for start, end in shared],
    }  # fmt: skip


def test_rows_by_how_often_they_are_borrowed_from() -> None:
    spans = [span("a", 7, 1.0), span("a", 7, 3.0, kind="adapted"), span("b", 7, 2.0),
             span("b", 4, 9.0)]  # fmt: skip
    first, second = borrowed(spans, q=0.1)
    assert (first.row_index, first.n_spans, first.n_responses, first.n_copied) == (7, 3, 2, 2)
    assert (first.best_score, first.lowest_q, first.n_found) == (3.0, None, None)
    assert first.examples == (1, 2, 0)  # highest score first
    assert second.row_index == 4
    assert borrowed([], q=0.1) == []


def test_found_rows_go_first() -> None:
    spans = [span("a", 1, 5.0, 0.5), span("b", 1, 4.0, 0.5), span("c", 2, 3.0, 0.1)]
    first, second = borrowed(spans, q=0.1)
    assert (first.row_index, first.n_found, first.lowest_q) == (2, 1, 0.1)
    assert (second.row_index, second.n_found) == (1, 0)


def test_rows_that_are_found_as_rows_go_before_those_with_found_spans() -> None:
    spans = [span("a", 1, 5.0, 0.1), span("b", 2, 4.0, 0.5), span("c", 3, 3.0, 0.5)]
    found = borrowed(spans, 0.1, {"c-1": 0.2, "c-2": 0.1})
    assert [row.row_index for row in found] == [2, 1, 3]
    assert [row.q_value for row in found] == [0.1, 0.2, None]
    assert [row.is_found(0.1) for row in found] == [True, False, False]


def test_harm_is_what_tuning_added_and_what_was_adapted() -> None:
    spans = [span("a", 1, 3.0, added=2.0, shared=((5, 9), (0, 3))),
             span("b", 1, 2.0, kind="adapted", added=-1.0, shared=((8, 12),)),
             span("c", 1, 1.0, kind="adapted")]  # fmt: skip
    (row,) = borrowed(spans, 0.1)
    assert (row.n_adapted, row.added_nats) == (2, 0.5)  # (2 - 1) / 2; the third has no shift
    assert row.reach == ((0, 3), (5, 12))
    (unknown,) = borrowed([span("a", 1, 3.0)], 0.1)
    assert unknown.added_nats is None


def test_a_long_answer_of_which_little_is_borrowed_can_be_simplified() -> None:
    (little,) = borrowed([span("a", 1, 1.0, shared=((0, 20),))], 0.1)
    (most,) = borrowed([span("a", 1, 1.0, shared=((0, 300),))], 0.1)
    long = "word " * 100
    assert what_to_do(little, long) == SIMPLIFY
    assert what_to_do(most, long) == DROP
    assert what_to_do(little, "word " * 10) == DROP  # nothing to make shorter
    assert what_to_do(little, "") == DROP


def test_families_of_near_prompts() -> None:
    rows = borrowed(
        [span("a", 0, 1.0), span("b", 0, 1.0), span("c", 1, 1.0), span("d", 2, 1.0)], 0.1
    )
    prompts = {
        0: "Describe turquoise planets", 1: "Draw turquoise planets", 2: "Boil some lentils",
        3: "Paint turquoise planets", 4: "Sing",
    }  # fmt: skip
    first, second = families(rows, prompts)
    assert [row.row_index for row in first.rows] == [0, 1]
    assert (first.n_spans, first.n_found, first.n_held_out) == (3, None, None)
    assert set(first.words[:2]) == {"turquoise", "planets"}
    assert [row.row_index for row in second.rows] == [2]
    with_held_out = families(rows, prompts, [(3, "c-3"), (4, "c-4")])
    assert [family.n_held_out for family in with_held_out] == [1, 0]
    assert families([], prompts) == []


def test_near_duplicates_and_empty_prompts() -> None:
    spans = [span("a", 0, 1.0), {**span("b", 1, 1.0), "cluster_id": "c-0"}, span("c", 2, 1.0)]
    found = families(borrowed(spans, 0.1), {0: "", 1: "something else", 2: ""})
    # one cluster is one family, whatever its prompts; empty prompts are near to nothing
    assert [sorted(row.row_index for row in family.rows) for family in found] == [[0, 1], [2]]
