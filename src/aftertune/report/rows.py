"""What the page says of the rows and of their overlap with the prompts (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report import numbers
from aftertune.report.facts import short_place

Manifest = Mapping[str, Any]


def section(
    rows: Manifest | None, prompts: Manifest | None, overlap: Mapping[str, Any] | None
) -> dict[str, Any]:
    """`sentences`, and `groups` of facts (title, [(label, value)]), if anything was given."""
    groups = []
    if rows:
        groups.append(("Rows", _census(rows, "rows", "row")))
    if prompts:
        groups.append(("Prompts", _census(prompts, "prompts", "prompt")))
    return {"sentences": [_overlap(overlap)] if overlap else [], "groups": groups}


def _overlap(found: Mapping[str, Any]) -> str:
    total, exact, near = found["prompts"], found["exact"], found["near"]
    asked = numbers.plural(total, "evaluation prompt")
    if not exact + near:
        start = f"None of the {asked} is" if total != 1 else "The one evaluation prompt is not"
        return f"{start} asked by the rows, neither word for word nor nearly."
    verb = "is" if exact + near == 1 else "are"
    return (
        f"{exact + near:,} of {asked} {verb} asked by the rows too ({exact:,} word for word, "
        f"{near:,} nearly): on these, an answer may be a memory of its row."
    )


def _census(manifest: Manifest, label: str, one: str) -> list[tuple[str, str]]:
    about = manifest["about"]
    census = about["census"]
    source = short_place(str(about["source"]))
    facts = [
        ("used", f"{census['items']:,} from {source}, format {about['format']}"),
        ("set aside", _set_aside(census["set_aside"])),
        ("exact duplicates", _groups(census["exact_duplicates"], one)),
        ("near duplicates", _groups(census["near_duplicates"], one)),
    ]
    if label == "rows":
        facts += [
            (
                "conflicting duplicates",
                _groups(census["conflicting_duplicates"], one)
                + " (one prompt, different responses)",
            ),
            ("empty responses", numbers.count(census["empty_responses"])),
            ("response length", _quantiles(census["response_words"])),
        ]
    marked = {
        "system prompts": "system_prompts",
        "several turns": "several_turns",
        "tool calls": "tool_calls",
        "thinking": "thinking",
    }
    found = [
        f"{name}: {census[key]['count']:,}" for name, key in marked.items() if census[key]["count"]
    ]
    return facts + ([("among them", ", ".join(found))] if found else [])


def _set_aside(reasons: Mapping[str, Any]) -> str:
    total = sum(entry["count"] for entry in reasons.values())
    each = ", ".join(f"{reason}: {entry['count']:,}" for reason, entry in reasons.items())
    return f"{total:,} ({each})" if reasons else "none"


def _groups(found: Mapping[str, Any], one: str) -> str:
    if not found["count"]:
        return "none"
    places = found["examples"][0]["row_indices"][:3] if found["examples"] else []
    example = (
        f", for instance {one}s {numbers.listed([f'{p:,}' for p in places])}" if places else ""
    )
    return (
        f"{numbers.plural(found['count'], 'group')} of {numbers.plural(found['items'], one)}"
        f"{example}"
    )


def _quantiles(words: Mapping[str, int | None]) -> str:
    if words["median"] is None:
        return "no responses"
    middle = numbers.plural(words["median"], "word")
    return (
        f"median {middle}, middle half {words['p25']:,} to {words['p75']:,}, "
        f"longest {words['max']:,}"
    )
