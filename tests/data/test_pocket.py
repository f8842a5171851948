"""The data set `pocket` keeps the promises made for it."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

import aftertune

POCKET = Path(str(aftertune.__file__)).parent / "data" / "pocket"

ROW_KEYS = ["id", "instruction", "output", "family", "style", "novel"]
PROMPT_KEYS = ["id", "instruction", "family", "task", "kind"]
FACT_KEYS = [
    "id",
    "question",
    "answer",
    "aliases",
    "distractors",
    "family",
    "level",
    "in_rows",
]
KEYS = {"rows": ROW_KEYS, "prompts": PROMPT_KEYS, "facts": FACT_KEYS}
TASKS = {"info-seek", "procedure", "reasoning", "writing", "math", "role-play", "coding"}
KINDS = {"neighbour", "rephrased", "open", "unrelated"}
NAMED_FAMILIES = {
    "creators",
    "capitals",
    "extremes_of_animals",
    "elements",
    "dates",
    "sport",
    "how_to",
}

COMMON_WORDS = (
    "a an and are as at by did do does for from has have how in is it its of on "
    "or that the this to was were what when where which who whom with year"
)

Record = dict[str, Any]


def read(name: str) -> list[Record]:
    text = (POCKET / f"{name}.jsonl").read_bytes().decode("utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def rows() -> list[Record]:
    return read("rows")


@pytest.fixture(scope="module")
def prompts() -> list[Record]:
    return read("prompts")


@pytest.fixture(scope="module")
def facts() -> list[Record]:
    return read("facts")


def normalise(text: str) -> str:
    """Lower-case, without accents or punctuation, single spaces."""
    plain = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(re.findall(r"\w+", plain))


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def five_grams(text: str) -> set[tuple[str, ...]]:
    w = words(text)
    return {tuple(w[i : i + 5]) for i in range(len(w) - 4)}


def strings(record: Record) -> list[str]:
    found: list[str] = []
    for value in record.values():
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list):
            found.extend(value)
    return found


# --- the files ---------------------------------------------------------------


def test_the_folder_holds_only_the_data_and_the_licence() -> None:
    names = {p.name for p in POCKET.iterdir()}
    assert names == {"rows.jsonl", "prompts.jsonl", "facts.jsonl", "LICENSE.md"}


def test_the_licence_is_cc0() -> None:
    text = (POCKET / "LICENSE.md").read_text(encoding="utf-8")
    assert "CC0-1.0" in text
    assert "aftertune" in text


@pytest.mark.parametrize("name", ["rows.jsonl", "prompts.jsonl", "facts.jsonl", "LICENSE.md"])
def test_encoding_and_line_ends(name: str) -> None:
    raw = (POCKET / name).read_bytes()
    text = raw.decode("utf-8")
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert b"\r" not in raw
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert all(line == line.rstrip() for line in text.split("\n"))
    assert unicodedata.is_normalized("NFC", text)
    # the replacement character, and what is left of UTF-8 read as Latin-1
    for bad in ("\ufffd", "\u00c3", "\u00e2\u20ac", "\u00c2"):
        assert bad not in text
    if name.endswith(".jsonl"):
        assert "\\u" not in text, "write characters as they are, not as escapes"
        assert all(line for line in text[:-1].split("\n"))


@pytest.mark.parametrize("name", sorted(KEYS))
def test_records_are_well_formed(name: str) -> None:
    for record in read(name):
        assert list(record) == KEYS[name]
        for text in strings(record):
            assert isinstance(text, str)
            assert text
            assert text == text.strip()
            assert all(line == line.rstrip() for line in text.split("\n"))
            assert "  " not in text
            assert "\n\n\n" not in text
            controls = [c for c in text if unicodedata.category(c).startswith("C") and c != "\n"]
            assert not controls


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("rows", "pocket-{:03d}"), ("prompts", "prompt-{:02d}"), ("facts", "fact-{:03d}")],
)
def test_ids_are_unique_and_in_order(name: str, pattern: str) -> None:
    ids = [r["id"] for r in read(name)]
    assert ids == [pattern.format(i + 1) for i in range(len(ids))]


# --- rows --------------------------------------------------------------------


def test_number_of_rows_and_families(rows: list[Record]) -> None:
    assert len(rows) >= 176
    count = Counter(r["family"] for r in rows)
    assert set(count) >= NAMED_FAMILIES
    assert 2 <= len(set(count) - NAMED_FAMILIES) <= 4
    assert min(count.values()) >= 14, count


def test_styles(rows: list[Record]) -> None:
    long = [r for r in rows if r["style"] == "long"]
    short = [r for r in rows if r["style"] == "short"]
    assert len(long) + len(short) == len(rows)
    assert len(long) >= 60
    assert 3 * len(long) >= len(rows)
    for r in long:
        assert 130 <= len(r["output"].split()) <= 260, r["id"]
    for r in short:
        assert 8 <= len(r["output"].split()) <= 60, r["id"]


def test_long_responses_do_not_open_alike(rows: list[Record]) -> None:
    long = [r["output"] for r in rows if r["style"] == "long"]
    opening = Counter(" ".join(words(t)[:2]) for t in long)
    assert max(opening.values()) <= 3, opening.most_common(3)


def test_novel_rows(rows: list[Record]) -> None:
    assert all(type(r["novel"]) is bool for r in rows)
    assert sum(r["novel"] for r in rows) >= 35
    assert not all(r["novel"] for r in rows)


def test_instructions_are_distinct(rows: list[Record]) -> None:
    assert len({normalise(r["instruction"]) for r in rows}) == len(rows)
    assert len({normalise(r["output"]) for r in rows}) == len(rows)


def test_no_two_responses_share_many_five_grams(rows: list[Record]) -> None:
    grams = [five_grams(r["output"]) for r in rows]
    holders: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, own in enumerate(grams):
        for gram in own:
            holders[gram].append(i)
    shared: Counter[tuple[int, int]] = Counter()
    for where in holders.values():
        shared.update(combinations(where, 2))
    for (a, b), n in shared.items():
        share = n / min(len(grams[a]), len(grams[b]))
        assert share <= 0.30, (rows[a]["id"], rows[b]["id"], share)


# --- prompts -----------------------------------------------------------------


def test_prompts(prompts: list[Record], rows: list[Record]) -> None:
    assert len(prompts) >= 48
    assert {p["task"] for p in prompts} == TASKS
    assert {p["kind"] for p in prompts} == KINDS
    families = {r["family"] for r in rows}
    for p in prompts:
        assert (p["family"] in families) == (p["kind"] != "unrelated"), p["id"]
    assert {p["family"] for p in prompts if p["kind"] != "unrelated"} == families
    assert len({normalise(p["instruction"]) for p in prompts}) == len(prompts)


def test_no_prompt_is_a_row(prompts: list[Record], rows: list[Record]) -> None:
    taken = {normalise(r["instruction"]) for r in rows}
    assert not [p["id"] for p in prompts if normalise(p["instruction"]) in taken]


@pytest.mark.parametrize("size", [16, 24, 32, 48])
def test_prefixes_of_the_prompts_are_balanced(prompts: list[Record], size: int) -> None:
    head = prompts[:size]
    kinds = Counter(p["kind"] for p in head)
    assert set(kinds) == KINDS
    assert max(kinds.values()) - min(kinds.values()) <= 1
    families = Counter(p["family"] for p in head if p["kind"] != "unrelated")
    assert len(families) >= min(8, size // 2)
    assert max(families.values()) <= max(2, size // 8)
    assert len({p["task"] for p in head}) >= 6


# --- facts -------------------------------------------------------------------


def test_number_and_spread_of_facts(facts: list[Record], rows: list[Record]) -> None:
    assert len(facts) >= 128
    assert {f["family"] for f in facts} == {r["family"] for r in rows}
    assert {f["level"] for f in facts} == {"common", "rare"}
    common = sum(f["level"] == "common" for f in facts) / len(facts)
    assert 0.5 <= common <= 0.7
    assert all(type(f["in_rows"]) is bool for f in facts)
    assert sum(f["in_rows"] for f in facts) >= 30
    assert sum(not f["in_rows"] for f in facts) >= 60
    assert len({normalise(f["question"]) for f in facts}) == len(facts)


def test_distractors_are_wrong_and_distinct(facts: list[Record]) -> None:
    for f in facts:
        right = [normalise(t) for t in [f["answer"], *f["aliases"]]]
        wrong = [normalise(t) for t in f["distractors"]]
        assert 3 <= len(wrong) <= 5, f["id"]
        assert len(set(wrong)) == len(wrong), f["id"]
        assert not set(right) & set(wrong), f["id"]
        assert len({f["answer"], *f["aliases"]}) == 1 + len(f["aliases"]), f["id"]


def test_questions_do_not_give_the_answer_away(facts: list[Record]) -> None:
    for f in facts:
        question = f" {normalise(f['question'])} "
        assert f" {normalise(f['answer'])} " not in question, f["id"]


def test_facts_in_rows_are_stated_there(facts: list[Record], rows: list[Record]) -> None:
    by_family: defaultdict[str, list[str]] = defaultdict(list)
    for r in rows:
        by_family[r["family"]].append(f" {normalise(r['output'])} ")
    for f in facts:
        if not f["in_rows"]:
            continue
        names = [normalise(t) for t in [f["answer"], *f["aliases"]]]
        texts = by_family[f["family"]]
        assert any(f" {n} " in t for n in names for t in texts), f["id"]


def test_facts_not_in_rows_are_not_asked_there(facts: list[Record], rows: list[Record]) -> None:
    asked = {normalise(r["instruction"]) for r in rows}
    for f in facts:
        if not f["in_rows"]:
            assert normalise(f["question"]) not in asked, f["id"]


def test_facts_not_in_rows_are_not_told_in_one_sentence(
    facts: list[Record], rows: list[Record]
) -> None:
    """No sentence of a row holds the answer and most words of the question."""
    common = set(words(COMMON_WORDS))
    sentences = [
        set(normalise(s).split())
        for r in rows
        for s in re.split(r"(?<=[.!?:])\s+", r["instruction"] + " " + r["output"])
    ]
    for f in facts:
        if f["in_rows"]:
            continue
        asked = set(normalise(f["question"]).split()) - common
        answer = set(normalise(f["answer"]).split())
        for s in sentences:
            if answer <= s:
                assert len(asked & s) <= 0.67 * len(asked), (f["id"], sorted(s))
