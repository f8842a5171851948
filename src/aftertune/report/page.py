"""The page about tuned models: one HTML file with everything in it, and its own script.

Data for the script is JSON in which no `<` is left.
"""

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from aftertune.report import charts, control_charts, frame


def render(view: Mapping[str, Any]) -> str:
    """The whole page for `view` (see view.py)."""
    return frame.page(
        "report.html.j2",
        ("report.css",),
        "report.js",
        view=view,
        pictures=charts.pictures(view["models"]),
        control_charts=control_charts,
        data=inline_json(view["answers"]),
    )


def inline_json(value: Any) -> Markup:
    """JSON that may stand inside <script type="application/json">.

    No `<` is left, so neither `</script>` nor `<!--` can end or open anything.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
