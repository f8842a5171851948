"""What the controls say: from their artefacts' manifests to blocks, grouped by question (pure)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aftertune.report.blocks import BUILDERS, FURTHER
from aftertune.report.blocks.shape import checked

Manifest = Mapping[str, Any]

NONE_RUN = (
    "No control was run for these models, so the template, the text, the learning rate and chance "
    "remain possible reasons for what is shown above."
)


def name_of(stage: str) -> str:
    """The control that an artefact of this stage holds, whether or not the page knows it.

    >>> name_of("control-hand-off"), name_of("sweep")
    ('hand-off', 'sweep')
    """
    return stage.removeprefix("control-")


def section(manifests: Sequence[Manifest], styles: Mapping[str, int]) -> list[dict[str, Any]]:
    """[{question, blocks}] in the order of BUILDERS; blocks of one question stand together.

    styles: model -> its style on the page. A block is as blocks/shape.py describes it, and has a
    `key` (`control/model`; that of a second such block ends in -2), `style` (None where it is
    about no one model) and `absent` [(what, reason)], as far as it does not speak of that itself.
    """
    order = list(BUILDERS)
    known = sorted(manifests, key=lambda manifest: order.index(name_of(manifest["stage"])))
    groups: dict[str, list[dict[str, Any]]] = {}
    times: Counter[str] = Counter()
    for manifest in known:
        for block in _blocks(manifest):
            name = "/".join(part for part in (block["control"], block["model"]) if part)
            times[name] += 1
            block["key"] = name if times[name] == 1 else f"{name}-{times[name]}"
            block["style"] = styles.get(block["model"])
            block["absent"] = _absent(block, manifest["about"].get("absent") or {})
            groups.setdefault(block["question"], []).append(block)
    return [{"question": question, "blocks": blocks} for question, blocks in groups.items()]


def _blocks(manifest: Manifest) -> list[dict[str, Any]]:
    name = name_of(manifest["stage"])
    further = FURTHER[name](manifest["about"]) if name in FURTHER else None
    found = [BUILDERS[name](manifest["about"]), *([further] if further else [])]
    return [checked(block) for block in found]


def _absent(block: Mapping[str, Any], absent: Mapping[str, str]) -> list[tuple[str, str]]:
    """What is absent for a reason that the block's own words do not give."""
    rows = (block["picture"] or {}).get("rows", [])
    said = [*block["sentences"], *block["cautions"], *(row["reason"] or "" for row in rows)]
    return [
        (what, reason)
        for what, reason in absent.items()
        if not any(reason.rstrip(".") in words for words in said)
    ]
