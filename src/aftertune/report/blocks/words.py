"""The control `words` on the page: the paper's string search with its missing baseline (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers

_CATEGORIES = ("shifted", "marginal", "unshifted")
_READINGS = {"word": "whole words", "substring": "anywhere, also within words"}
_DRAWN = ("estimate", "low", "high", "reason")
_FEW_PAIRS = 50
# By which the two sides may differ without a caution: in words, and in different words.
_WORDS_APART, _DISTINCT_APART = 0.05, 0.15

Found = Mapping[str, Any]
Estimate = Mapping[str, Any]


def block(about: Mapping[str, Any]) -> dict[str, Any]:
    """What `control-words` found, as a block of the page."""
    model, found, absent = about["name"], about["found"], about["absent"]
    shown = {
        "control": "words",
        "model": model,
        "question": f"Do the words that tuning moved in {model} come from its rows?",
    }
    if not found:
        sentences = [f"Not measured: {absent['words']}"]
        return {**shown, "sentences": sentences, "picture": None, "table": None, "cautions": []}
    main = found["searches"][0]  # whole words, in the rows' answers
    sentences = [_paper(model, found, main["all_rows"])]
    if main["matched"] is None:
        sentences.append(f"There is no baseline: {absent['control']}")
    else:
        sentences += [
            _pairs(found),
            _differences(main["matched"]["categories"]),
            *(_beyond(name, main["matched"]) for name in ("shifted", "marginal")),
        ]
    return {
        **shown,
        "sentences": sentences,
        "picture": _picture(main["matched"]),
        "table": _table(found),
        "cautions": _cautions(found),
    }


def points(share: float | None) -> str:
    """A difference of shares in percentage points.

    >>> points(0.0123), points(-0.2), points(None)
    ('+1.23', '-20.00', '–')
    """
    return numbers.NONE if share is None else f"{100 * share:+.2f}"


def _paper(model: str, found: Found, all_rows: Found) -> str:
    shares = [
        f"{numbers.with_interval(all_rows[name]['share'], numbers.percent)} of those that start "
        f"with {'an' if name[0] == 'u' else 'a'} {name} token"
        for name in _CATEGORIES
        if all_rows[name]["n_words"]
    ]
    if not shares:
        return f"No scored answer of {model} holds a word."
    rows = numbers.plural(found["n_seen"], "row")
    return (
        f"Of the words in the answers of {model}, {numbers.listed(shares)} stand in the answers of "
        f"the {rows} that it was tuned on. By itself that says nothing: frequent words stand in "
        "any rows."
    )


def _pairs(found: Found) -> str:
    after = found["matching"]["after"]
    alike = "answers about as long and prompts as near as could be found"
    if found["topic_tag"]:
        alike = f"the same {found['topic_tag'].replace('_', ' ')}, {alike}"
    return (
        f"Compared are {after['seen']['rows']:,} of these rows with as many that it never saw "
        f"({found['control']}), paired: {alike}; {after['seen']['words']:,} words against "
        f"{after['control']['words']:,}."
    )


def _differences(categories: Found) -> str:
    said = [
        f"for {name} words {_said(categories[name]['difference'], categories[name]['detectable'])}"
        for name in _CATEGORIES
    ]
    return f"Found in the rows seen minus found in the others: {'; '.join(said)}."


def _said(estimate: Estimate, detectable: float | None) -> str:
    """The difference and what its interval says; where that is nothing, what it could have seen."""
    if estimate["estimate"] is None:
        return f"unknown ({estimate['reason']})"
    size = f"{numbers.with_interval(estimate, points)} points"
    if estimate["low"] is None:
        return f"{size} (undecided: {estimate['reason']})"
    if estimate["low"] > 0:
        return f"{size}, more than by chance"
    if estimate["high"] < 0:
        return f"{size}, less than by chance"
    if detectable is None or detectable > 1:
        return f"{size} (undecided: there is too little to tell)"
    return f"{size} (undecided; from {points(detectable)} on it would probably have shown)"


def _beyond(name: str, matched: Found) -> str:
    held = matched["versus_unshifted"][name]
    equal = _said(held["at_equal_frequency"], held["detectable"])
    raw = numbers.with_interval(held["raw"], points)
    return (
        f"The same difference for {name} words minus that for unshifted words which as many rows "
        f"hold: {equal}; minus that for all unshifted words: {raw}."
    )


def _picture(matched: Found | None) -> dict[str, Any] | None:
    """The differences; None where there are none to draw: all are 0 and none has an interval."""
    if matched is None:
        return None
    rows = [
        _drawn(f"{name} words", matched["categories"][name]["difference"]) for name in _CATEGORIES
    ]
    for name in ("shifted", "marginal"):
        held = matched["versus_unshifted"][name]
        rows.append(_drawn(f"{name} minus unshifted, equally frequent", held["at_equal_frequency"]))
    if all(row["estimate"] == 0 and row["low"] is None for row in rows):
        return None
    return {
        "kind": "intervals",
        "x_label": "found in the rows seen minus found in rows never seen, percentage points",
        "rows": rows,
        "line": {"at": 0.0, "label": "no difference"},
    }


def _drawn(label: str, estimate: Estimate) -> dict[str, Any]:
    values = {key: estimate[key] for key in _DRAWN}
    for key in ("estimate", "low", "high"):
        values[key] = None if values[key] is None else 100 * values[key]
    return {"label": label, **values}


def _table(found: Found) -> dict[str, Any]:
    columns = [
        "looked for", "in the rows’", "words that start", "words", "all rows seen",
        "different words, all rows seen", "paired rows seen", "paired rows never seen",
        "difference, points",
    ]  # fmt: skip
    rows = []
    for search in found["searches"]:
        for name in _CATEGORIES:
            everywhere = search["all_rows"][name]
            matched = search["matched"] and search["matched"]["categories"][name]
            rows.append(
                [
                    _READINGS[search["reading"]],
                    search["text"],
                    name,
                    numbers.count(everywhere["n_words"]),
                    numbers.with_interval(everywhere["share"], numbers.percent),
                    numbers.percent(everywhere["share_of_distinct"]),
                    *(
                        [
                            numbers.percent(matched["seen"]),
                            numbers.percent(matched["control"]),
                            numbers.with_interval(matched["difference"], points),
                        ]
                        if matched
                        else [numbers.NONE] * 3
                    ),
                ]
            )
    return {"columns": columns, "rows": rows}


def _cautions(found: Found) -> list[str]:
    said = [
        "A word counts for the token that writes its first character. Intervals of the "
        "differences draw both the prompts and which row of each pair was seen; they speak of "
        "this model."
    ]
    near, matching = found["n_near_duplicates"], found["matching"]
    if near["control"]:
        said.append(
            f"{numbers.plural(near['control'], 'control row')} and "
            f"{numbers.plural(near['seen'], 'row')} that it saw are near duplicates of each other "
            "and are not compared."
        )
    if matching is None:
        return said
    after, before = matching["after"], matching["before"]
    words = [after[side]["words"] for side in ("seen", "control")]
    if matching["unmatched"]["seen"]:
        said.append(
            f"{numbers.plural(matching['unmatched']['seen'], 'row')} that it saw found no "
            "counterpart; rows that were not compared may hold words too."
        )
    if after["seen"]["rows"] < _FEW_PAIRS:
        said.append(f"There are only {numbers.plural(after['seen']['rows'], 'pair')} of rows.")
    if abs(words[0] - words[1]) > _WORDS_APART * max(words):
        said.append(
            f"The two sides differ in length ({words[0]:,} and {words[1]:,} words), and longer "
            "rows hold more words."
        )
    distinct = [after[side]["distinct_words"] for side in ("seen", "control")]
    if abs(distinct[0] - distinct[1]) > _DISTINCT_APART * max(distinct):
        said.append(
            "The two sides differ in how many different words they use, so they are not rows of "
            "one kind, and a difference may be theirs rather than the tuning’s."
        )
    if after["mean_cosine"] is not None:
        said.append(
            f"Prompts of a pair have a cosine of {numbers.decimal(after['mean_cosine'])}, prompts "
            f"drawn at random {numbers.decimal(before['mean_cosine'])}; the paired rows hold "
            f"{distinct[0]:,} and {distinct[1]:,} different words."
        )
    return said
