"""The page about a study: what people say, how far they can be believed, how it was done (pure)."""

from collections.abc import Mapping
from typing import Any

from aftertune.report import control_charts, frame, study_methods
from aftertune.report.blocks import study, study_agreement
from aftertune.report.blocks.shape import checked
from aftertune.report.numbers import listed, plural

View = dict[str, Any]


def build(manifest: Mapping[str, Any], version: str, title: str | None = None) -> View:
    """What the page of a `control-study` artefact shows; it holds no text of answers."""
    about = manifest["about"]
    blocks = [study.block(about), study_agreement.block(about)]
    shown = [_keyed(one, f"study-{place}") for place, one in enumerate(blocks) if one]
    return {
        "title": title or f"Study {about['title']}",
        "subtitle": _subtitle(about),
        "version": version,
        "blocks": shown,
        "methods": [line for line in study_methods.paragraphs(about).split("\n\n") if line],
        "how": [
            ("artefact", manifest["id"]),
            ("inputs", listed([f"{one['name']} {one['id'][:16]}" for one in manifest["inputs"]])),
            ("intervals", f"level {manifest['config']['resolved']['level']:g}, "
             f"{manifest['config']['resolved']['draws']:,} draws, seed "
             f"{manifest['config']['resolved']['seed']}"),
        ],
    }  # fmt: skip


def render(view: View) -> str:
    """The whole page as HTML, in one file."""
    return frame.page(
        "study.html.j2", ("report.css",), None, view=view, control_charts=control_charts
    )


def _subtitle(about: Mapping[str, Any]) -> str:
    counts = about["found"]["counts"]
    return (
        f"{plural(counts['ratings'], 'rating')} of {plural(counts['items'], 'item')} by "
        f"{plural(counts['people'], 'person', 'people')}."
    )


def _keyed(block: Mapping[str, Any], key: str) -> View:
    """A block as the page draws it: checked, with the name of its picture."""
    return {**checked(block), "key": key, "style": None, "absent": []}
