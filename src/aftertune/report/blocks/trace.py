"""Which rows answers borrowed from, and whether more than chance finds, on the page (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report.numbers import (
    NONE,
    decimal,
    listed,
    nats,
    percent,
    plural,
    with_interval,
)

FAR = 0.6  # AUROC above which a control's rows are called unlike the rows
MANY = 5  # spans of one held-out cluster up to which simulations hold the rate that is asked for
MOST_ROWS = 10
NOTHING = "Nothing was found beyond chance."

Found = Mapping[str, Any]


def block(about: Mapping[str, Any]) -> dict[str, Any]:
    """What `trace` found, as a block of the page; no text of rows or answers."""
    found = about["found"]
    return {
        "control": "trace",
        "model": about["name"],
        "question": "Did the answers borrow from the rows, more than chance would have it?",
        "sentences": sentences(found),
        "picture": _picture(found),
        "table": _table(found),
        "cautions": _cautions(found, about["absent"]),
    }


def sentences(found: Found) -> list[str]:
    """What was found, controls first."""
    n, answers = found["n_spans"], plural(found["n_responses"], "answer")
    if not n:
        return [f"No span of {answers} leads to a row."]
    said = [whole(found)]
    if held := found["held_out"]:
        said += [_found_by_q(held), _wins(held["wins"], "any row held out before tuning")]
    for name, one in found["controls"].items():
        said.append(_wins(one, f"any of {_called(name, one['n_rows'])}"))
        if one["auroc"]["estimate"] is not None:
            said.append(
                f"A classifier tells {_called(name, one['n_rows'])} from the rows with AUROC "
                f"{with_interval(one['auroc'], decimal)} (0.5: not at all)."
            )
    if not _is_beyond(found) and _has_control(found):
        said.append(NOTHING)
    said.append(
        f"Of all spans, {with_interval(found['copied'], percent)} stand word for word in the "
        "answer of the row that explains them best."
    )
    if found["shift_nats"]["estimate"] is not None:
        said.append(
            f"Tuning changed the log-probability of a span by "
            f"{with_interval(found['shift_nats'], nats)} nats (tuned minus base, all its tokens)."
        )
    return said


def whole(found: Found) -> str:
    """How many spans lead to rows."""
    return (
        f"{plural(found['n_spans'], 'span')} in {found['n_with_span']:,} of "
        f"{plural(found['n_responses'], 'answer')} {'leads' if found['n_spans'] == 1 else 'lead'} "
        "to a row."
    )


def _found_by_q(held: Found) -> str:
    if held["n_found"]:
        return (
            f"At a false discovery rate of {held['q']:g}, {plural(held['n_found'], 'span')} "
            f"{'is' if held['n_found'] == 1 else 'are'} borrowed from rows: "
            f"{with_interval(held['found'], percent)} of all spans."
        )
    lowest = (
        "no span has a q" if held["lowest_q"] is None else f"the lowest q is {held['lowest_q']:.2g}"
    )
    return f"No span stands out at a false discovery rate of {held['q']:g}; {lowest}."


def _wins(one: Found, control: str) -> str:
    why = f" ({one['reason']})" if one.get("reason") else ""
    return (
        f"A row tuned on explains the best span of {with_interval(one['share'], percent)} of "
        f"answers better than {control}; by chance {percent(one['chance'])}: "
        f"{one['conclusion']}{why}."
    )


def _called(name: str, n_rows: int) -> str:
    """
    >>> _called("permuted rows", 1200), _called("dolly", 9)
    ('the 1,200 permuted rows', 'the 9 rows of dolly')
    """
    return f"the {n_rows:,} {name}" if name.endswith(" rows") else f"the {n_rows:,} rows of {name}"


def _is_beyond(found: Found) -> bool:
    held = found["held_out"]
    return bool(held and held["conclusion"] == "beyond chance") or any(
        one["conclusion"] == "beyond chance" for one in found["controls"].values()
    )


def _has_control(found: Found) -> bool:
    return bool(found["held_out"] or found["controls"])


def _picture(found: Found) -> dict[str, Any] | None:
    """How often the rows win the best span of an answer against each control, beside chance."""
    shown = {"held-out rows": found["held_out"]["wins"]} if found["held_out"] else {}
    shown |= found["controls"]
    if not shown:
        return None
    chances = {round(one["chance"], 2) for one in shown.values()}
    rows = [
        {
            "label": name if len(chances) == 1 else f"{name} (chance {percent(one['chance'])})",
            **{part: one["share"][part] for part in ("estimate", "low", "high", "reason")},
        }
        for name, one in shown.items()
    ]
    line = {"at": chances.pop(), "label": "chance"} if len(chances) == 1 else None
    label = "share of answers whose best span a row explains better than the control"
    return {"kind": "intervals", "x_label": label, "rows": rows, "line": line}


def _table(found: Found) -> dict[str, Any] | None:
    if not found["rows"]:
        return None
    return {
        "columns": ["row", "spans", "share of all spans", "answers", "word for word", "found by q"],
        "rows": [
            [
                f"row {row['row_index']}", f"{row['n_spans']:,}",
                with_interval(row["share"], percent),
                f"{row['n_responses']:,}", f"{row['n_copied']:,}",
                NONE if row["n_found"] is None else f"{row['n_found']:,}",
            ]
            for row in found["rows"][:MOST_ROWS]
        ],
    }  # fmt: skip


def _cautions(found: Found, absent: Mapping[str, str]) -> list[str]:
    said = [f"Absent: {what}; {reason}." for what, reason in absent.items()]
    held = found["held_out"]
    if held and held["most_of_a_cluster"] > MANY:
        said.append(
            f"One held-out cluster alone wins {held['most_of_a_cluster']:,} spans; spans of one "
            "cluster share their fate, so q asks for more spans before it finds any."
        )
    for name, one in found["controls"].items():
        auroc = one["auroc"]
        if auroc["estimate"] is None:
            said.append(
                f"Whether the rows of {name} look like the rows is unknown: {auroc['reason']}."
            )
        elif auroc["low"] > 0.5 and auroc["estimate"] > FAR:
            said.append(
                f"The rows of {name} are unlike the rows: a classifier tells them apart with AUROC "
                f"{with_interval(auroc, decimal)}, so an excess over them may come from their "
                "topic alone."
            )
    if found["controls"]:
        names = listed(list(found["controls"]))
        said.append(f"An excess over {names} is no error rate of single spans.")
    if found["n_spans"]:
        said.append(
            "A row that explains a span best need not have caused it: only tuning again without "
            "it shows that."
        )
    return said
