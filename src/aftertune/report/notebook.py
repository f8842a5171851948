"""What a result shows of itself in a notebook: findings and the table of models (pure).

A notebook brings its own style and runs in light and dark, so no colour is set, and nothing here
reaches beyond these elements.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

_ROWS = 10  # of the table: what was measured, method and rate; the page has the rest


def html(view: Mapping[str, Any], page: str) -> str:
    """Title, findings and headline table of a page's view (see view.py); all text escaped.

    page: where the page is.
    """
    findings, cautions = (view["conclusion"][key] for key in ("findings", "cautions"))
    models = [model["name"] for model in view["models"]]
    rows = [
        [row["label"], *(_cell(cell) for cell in row["cells"])] for row in view["table"][:_ROWS]
    ]
    return str(
        Markup(
            "<div><p><strong>{}</strong><br>{}</p>{}{}"
            "<details><summary>To keep in mind</summary>{}</details><p>{}</p></div>"
        ).format(
            view["title"], view["subtitle"], _list(findings), _table(["", *models], rows),
            _list(cautions), f"The whole page: {page}",
        )
    )  # fmt: skip


def _cell(cell: Mapping[str, str]) -> Markup:
    note = Markup("<br><small>{}</small>").format(cell["note"]) if cell["note"] else ""
    return escape(cell["text"]) + note


def _list(sentences: Sequence[str]) -> Markup:
    items = Markup("").join(Markup("<li>{}</li>").format(sentence) for sentence in sentences)
    return Markup("<ul>{}</ul>").format(items)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in columns)
    body = Markup("").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            label, Markup("").join(Markup("<td>{}</td>").format(cell) for cell in cells)
        )
        for label, *cells in rows
    )
    return Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, body)
