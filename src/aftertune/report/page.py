"""The page: one HTML file with everything in it, that loads nothing and runs only its own script.

The template escapes; data for the script is JSON in which no `<` is left; the content security
policy allows exactly one style sheet and one script, by their hashes.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import jinja2
from markupsafe import Markup, escape

from aftertune.report import charts, control_charts, look, numbers
from aftertune.report.svg import swatch


def render(view: Mapping[str, Any]) -> str:
    """The whole page for `view` (see view.py)."""
    loader = jinja2.PackageLoader("aftertune.report")
    pages = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.globals.update(numbers=numbers, swatch=swatch)
    pages.filters["quiet"] = quiet_intervals
    sheet, script = (_static(loader, pages, name) for name in ("report.css", "report.js"))
    style = f"\n{look.css()}{sheet}"
    return pages.get_template("report.html.j2").render(
        view=view,
        pictures=charts.pictures(view["models"]),
        control_charts=control_charts,
        style=Markup(style),
        script=Markup(script),
        data=inline_json(view["answers"]),
        policy=_policy(style, script),
    )


def quiet_intervals(sentence: str) -> Markup:
    """The sentence, escaped, its [low, high] marked so that they are read second."""
    parts = re.split(r"(\[[^\[\]]*, [^\[\]]*\])", sentence)
    marked = [
        Markup('<span class="range">{}</span>').format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    ]
    return Markup("").join(marked)


def inline_json(value: Any) -> Markup:
    """JSON that may stand inside <script type="application/json">.

    No `<` is left, so neither `</script>` nor `<!--` can end or open anything.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _static(loader: jinja2.PackageLoader, pages: jinja2.Environment, name: str) -> str:
    return "\n" + loader.get_source(pages, name)[0].replace("\r\n", "\n").strip() + "\n"


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
