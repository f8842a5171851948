"""What a set of rows or prompts holds, counted, with the first examples of each. Pure."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from aftertune.artefact import hash_json
from aftertune.data.clusters import near_pairs
from aftertune.data.config import Kind

EXAMPLES = 5
EMPTY_RESPONSE = "empty response"
UNSUPPORTED = "unsupported content: "
Record = Mapping[str, Any]


@dataclass(frozen=True)
class SetAside:
    """A bad row: `reason` is counted, `detail` tells this row's case."""

    reason: str
    detail: str
    row_index: int
    line: int | None
    file: str
    raw: str

    def sentence(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


def census(
    records: Sequence[Record],
    tags: Sequence[Mapping[str, Any]],
    aside: Sequence[SetAside],
    kind: Kind,
) -> dict[str, Any]:
    """Counts and the first EXAMPLES of each kind of row, as JSON.

    `records` are rows of the table `rows` or `prompts`, `tags` theirs as objects. Every entry is
    {"count": n, "examples": [...]}; examples give row_index, or a group's row_indices.
    """
    id_column = "row_id" if kind == "rows" else "prompt_id"
    reasons = Counter(bad.reason for bad in aside)
    found = {
        "items": len(records),
        "set_aside": {
            reason: {
                "count": count,
                "examples": [_place(bad) for bad in aside if bad.reason == reason][:EXAMPLES],
            }
            for reason, count in reasons.most_common()
        },
        "unsupported": sum(n for reason, n in reasons.items() if reason.startswith(UNSUPPORTED)),
        "exact_duplicates": _groups(records, lambda record: record[id_column]),
        "near_duplicates": _groups(records, lambda r: r["cluster_id"], lambda r: r[id_column]),
        "system_prompts": _marked(records, lambda ms: ms[0]["role"] == "system"),
        "several_turns": _marked(records, lambda ms: sum(m["role"] == "user" for m in ms) > 1),
        "tool_calls": _marked(records, lambda ms: any(m["tool_calls"] for m in ms)),
        "thinking": _marked(
            records,
            lambda ms: any(m["thinking"] or "<think>" in (m["content"] or "") for m in ms),
        ),
        "prompt_words": quantiles(_words(r["messages"], ("user", "system")) for r in records),
    }
    if kind == "rows":
        found["empty_responses"] = reasons[EMPTY_RESPONSE]
        found["conflicting_duplicates"] = _groups(
            records, lambda r: hash_json([r["messages"][:-1], r["tools"]]), lambda r: r["row_id"]
        )
        found["response_words"] = quantiles(_words(r["messages"], ("assistant",)) for r in records)
    else:
        later = [len(held.get("turns", ())) for held in tags]
        found["later_turns_not_asked"] = {"prompts": sum(map(bool, later)), "turns": sum(later)}
        found["with_reference"] = sum("reference" in held for held in tags)
    return found


def _place(bad: SetAside) -> dict[str, Any]:
    return {"file": bad.file, "line": bad.line, "row_index": bad.row_index, "detail": bad.detail}


def _groups(records: Sequence[Record], key: Any, differing: Any = None) -> dict[str, Any]:
    """Groups of one `key` with several rows; with `differing`, only those that differ in it.

    `count` is groups, `items` the rows in them.
    """
    grouped: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        grouped[key(record)].append(record)
    several = [
        group
        for group in grouped.values()
        if len(group) > 1 and (differing is None or len({differing(r) for r in group}) > 1)
    ]
    examples = [{"row_indices": [r["row_index"] for r in group[:EXAMPLES]]} for group in several]
    return {
        "count": len(several),
        "items": sum(map(len, several)),
        "examples": examples[:EXAMPLES],
    }


def _marked(records: Sequence[Record], test: Any) -> dict[str, Any]:
    found = [record["row_index"] for record in records if test(record["messages"])]
    return {"count": len(found), "examples": found[:EXAMPLES]}


def _words(messages: Iterable[Mapping[str, Any]], roles: tuple[str, ...]) -> int:
    return sum(len((m["content"] or "").split()) for m in messages if m["role"] in roles)


def quantiles(counts: Iterable[int]) -> dict[str, int | None]:
    """Values that occur (no interpolation); None for each when there are no counts."""
    values = list(counts)
    shares = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}
    if not values:
        return dict.fromkeys(shares)
    found = np.quantile(values, list(shares.values()), method="inverted_cdf")
    return dict(zip(shares, map(int, found), strict=True))


def overlap(rows: pa.Table, prompts: pa.Table) -> dict[str, Any]:
    """Evaluation prompts that the rows already ask: word for word, or nearly.

    Compared are a prompt's last user message and every user message of the rows. `exact`: the
    same text up to case and white space; `near`: Jaccard >= 0.8 over word 3-shingles
    (clusters.py). `matches` has one entry per such prompt, with its closest row (the first
    one of equals) and how many rows match.
    """
    asked = [normalised(_user_texts(messages)[-1]) for messages in prompts["messages"].to_pylist()]
    holders: dict[str, list[int]] = defaultdict(list)  # text -> places in rows
    for place, messages in enumerate(rows["messages"].to_pylist()):
        for said in dict.fromkeys(map(normalised, _user_texts(messages))):
            holders[said].append(place)
    texts = list(holders)
    near: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for prompt, found, similarity in near_pairs(asked, texts):
        near[prompt] += [(similarity, place) for place in holders[texts[found]]]
    matches = []
    for prompt, text in enumerate(asked):
        exact = holders.get(text, [])
        closest = [(1.0, place) for place in exact] or near[prompt]
        if not closest:
            continue
        similarity, place = min(closest, key=lambda one: (-one[0], one[1]))
        matches.append(
            {
                "prompt_id": prompts["prompt_id"][prompt].as_py(),
                "prompt_row_index": prompts["row_index"][prompt].as_py(),
                "row_id": rows["row_id"][place].as_py(),
                "row_index": rows["row_index"][place].as_py(),
                "kind": "exact" if exact else "near",
                "jaccard": similarity,
                "rows": len({p for _, p in near[prompt]} | set(exact)),
            }
        )
    exact_count = sum(match["kind"] == "exact" for match in matches)
    return {
        "prompts": len(asked),
        "exact": exact_count,
        "near": len(matches) - exact_count,
        "matches": matches,
    }


def normalised(text: str) -> str:
    """Text in which case, compatibility forms and white space make no difference."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _user_texts(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    return [m["content"] or "" for m in messages if m["role"] == "user"]
