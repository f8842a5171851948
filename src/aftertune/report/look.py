"""How pictures look: one palette and one list of rules, for the page and for a picture alone.

The page gets them as CSS, so that one drawing serves light, dark and print. A picture that stands
alone gets them as attributes in the light colours, because a program that opens it may know no
CSS, and because rules inside it would reach into the notebook that shows it.
"""

import re
from collections.abc import Mapping
from xml.etree import ElementTree

SVG = "http://www.w3.org/2000/svg"
SANS = (
    'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", '
    '"Liberation Sans", Arial, sans-serif'
)

# name -> light, dark
PALETTE: dict[str, tuple[str, str]] = {
    "page": ("#fcfcfa", "#131619"),
    "sheet": ("#ffffff", "#1a1e22"),
    "sunken": ("#f3f4f1", "#20252a"),
    "ink": ("#1c2024", "#e5e8ea"),
    "soft": ("#555d66", "#a6aeb6"),
    "rule": ("#d9dcd8", "#353c43"),
    "grid": ("#e6e8e4", "#2a3036"),
    "focus": ("#0b57d0", "#8ab8ff"),
    "link": ("#0b57d0", "#8ab8ff"),
    "m0": ("#0072b2", "#56b4e9"),
    "m1": ("#d55e00", "#f28e3c"),
    "m2": ("#00805c", "#2fc79b"),
    "m3": ("#a8517f", "#e09ac2"),
    "m4": ("#8a6d00", "#e5c453"),
    "m5": ("#3a6f96", "#a9c7dd"),
    "unshifted": ("#c9cec8", "#4b535a"),
    "marginal": ("#56b4e9", "#3d97cc"),
    "shifted": ("#d55e00", "#e8772e"),
    "hatch": ("#083f63", "#dff0fb"),
    "dots": ("#ffffff", "#26150a"),
    "marginal-back": ("#dff0fb", "#15364c"),
    "marginal-line": ("#0072b2", "#6cc0f0"),
    "shifted-back": ("#fde3d0", "#55290c"),
    "shifted-line": ("#b84a00", "#ff9a55"),
    "unscored-line": ("#767d84", "#8d959c"),
}

# A tag, or classes that an element must all have; later rules win, as they do in CSS because
# none after it is less specific. --c is the colour of a model.
RULES: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("text", {"font-family": SANS, "font-size": "13px", "fill": "var(--ink)"}),
    (".name", {"font-weight": "600"}),
    (".tick", {"fill": "var(--soft)", "font-size": "12px"}),
    (".axis", {"fill": "var(--soft)", "font-size": "12px"}),
    (".reason", {"fill": "var(--soft)", "font-style": "italic"}),
    (".grid", {"stroke": "var(--grid)", "stroke-width": "1"}),
    (".leader", {"stroke": "var(--soft)", "stroke-width": "0.8", "stroke-opacity": "0.6"}),
    (".floor", {"stroke": "var(--ink)", "stroke-width": "2", "stroke-dasharray": "2 3"}),
    (".mark", {"fill": "var(--c)", "stroke": "var(--c)", "stroke-width": "1.5"}),
    (".range", {"stroke": "var(--c)", "stroke-width": "2"}),
    (
        ".series",
        {"fill": "none", "stroke": "var(--c)", "stroke-width": "2", "stroke-linejoin": "round"},
    ),
    (".band", {"fill": "var(--c)", "fill-opacity": "0.14", "stroke": "none"}),
    (".hatch", {"stroke": "var(--hatch)", "stroke-width": "1.2", "fill": "none"}),
    (".dots", {"fill": "var(--dots)"}),
    (".neutral", {"--c": "var(--ink)"}),
    *((f".m{k}", {"--c": f"var(--m{k})"}) for k in range(6)),
    (".mark.hollow", {"fill": "var(--page)", "stroke-width": "2"}),
    (".mark.stroked", {"fill": "none", "stroke-width": "3"}),
    (".mark.stroked.hollow", {"stroke-width": "1.4"}),
    (".series.m1", {"stroke-dasharray": "8 4"}),
    (".series.m2", {"stroke-dasharray": "3 3"}),
    (".series.m3", {"stroke-dasharray": "10 3 2 3"}),
    (".series.m4", {"stroke-dasharray": "1.5 3", "stroke-width": "2.5"}),
    (".series.m5", {"stroke-dasharray": "14 4"}),
    *((f".segment.{c}", {"fill": f"var(--{c})"}) for c in ("unshifted", "marginal", "shifted")),
)

_VARIABLE = re.compile(r"var\(--([\w-]+)\)")


def css() -> str:
    """Palette and rules for the page; rules hold inside its drawings only."""
    light, dark = (
        " ".join(f"--{name}: {colours[k]};" for name, colours in PALETTE.items()) for k in (0, 1)
    )
    rules = "\n".join(
        f"svg {selector} {{ {' '.join(f'{name}: {value};' for name, value in look.items())} }}"
        for selector, look in RULES
    )
    return (
        f":root {{ --sans: {SANS}; {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n{rules}\n"
    )


def inlined(svg: str) -> str:
    """A drawing whose looks are attributes instead of classes, as an XML text of its own."""
    ElementTree.register_namespace("", SVG)
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        classes = set(element.attrib.pop("class", "").split())
        tag = element.tag.removeprefix(f"{{{SVG}}}")
        for name, value in _look(tag, classes).items():
            element.set(name, value)
    return ElementTree.tostring(root, encoding="unicode")


def _look(tag: str, classes: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for selector, look in RULES:
        if selector == tag or (selector[0] == "." and classes >= set(selector[1:].split("."))):
            found |= look
    light = {name: colours[0] for name, colours in PALETTE.items()}
    if "--c" in found:
        light["c"] = _VARIABLE.sub(lambda m: light[m[1]], found.pop("--c"))
    return {name: _VARIABLE.sub(lambda m: light[m[1]], value) for name, value in found.items()}
