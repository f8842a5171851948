"""What every page stands in: one HTML file with everything in it, that loads nothing.

Templates escape; the content security policy allows exactly one style sheet and, where a page has
one, one script, by their hashes.
"""

import base64
import hashlib
import re
from typing import Any

import jinja2
from markupsafe import Markup, escape

from aftertune.report import look, numbers
from aftertune.report.svg import swatch


def page(template: str, sheets: tuple[str, ...], script: str | None, **context: Any) -> str:
    """The template filled with `context`, its sheets and its script inside it."""
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
    style = f"\n{look.css()}" + "".join(_static(loader, pages, name) for name in sheets)
    code = _static(loader, pages, script) if script else None
    return pages.get_template(template).render(
        **context,
        style=Markup(style),
        script=Markup(code or ""),
        policy=_policy(style, code),
    )


def quiet_intervals(sentence: str) -> Markup:
    """The sentence, escaped, its [low, high] marked so that they are read second."""
    parts = re.split(r"(\[[^\[\]]*, [^\[\]]*\])", sentence)
    marked = [
        Markup('<span class="range">{}</span>').format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    ]
    return Markup("").join(marked)


def _static(loader: jinja2.PackageLoader, pages: jinja2.Environment, name: str) -> str:
    return "\n" + loader.get_source(pages, name)[0].replace("\r\n", "\n").strip() + "\n"


def _policy(style: str, script: str | None) -> str:
    allowed = _hash(script) if script else "'none'"
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {allowed}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
