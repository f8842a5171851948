"""How wide words are, about, and how they are cut or wrapped to fit (pure).

A drawing cannot ask the browser how wide its letters are. These widths err on the wide side, so
that labels do not touch.
"""

import unicodedata

SIZE = 13.0  # px, of a picture's letters

# As wide as in DejaVu Sans, the widest of the usual fonts.
_NARROW = frozenset("fijlrtI.,:;|'’!()[]- ")
_WIDE = frozenset("mwMW%@—…")
_ELLIPSIS = "…"


def width_of(text: str, size: float = SIZE) -> float:
    """About how many pixels `text` takes, in a sans-serif of `size` px."""
    return size * sum(map(_ems, text))


def _ems(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    if unicodedata.combining(character):
        return 0.0
    if character in _NARROW:
        return 0.36
    if character in _WIDE:
        return 0.95
    return 0.72 if character.isupper() else 0.63


def shortened(text: str, width: float, size: float = SIZE) -> str:
    """`text`, or as much of its beginning as fits with an ellipsis into `width` px.

    >>> shortened("answer", 60.0), shortened("answers", 40.0)
    ('answer', 'ans…')
    """
    if width_of(text, size) <= width:
        return text
    kept = text
    while kept and width_of(kept + _ELLIPSIS, size) > width:
        kept = kept[:-1]
    return kept.rstrip() + _ELLIPSIS


def wrapped(text: str, width: float, n_lines: int = 2, size: float = SIZE) -> list[str]:
    """`text` in at most `n_lines` lines of `width` px; the last is cut where it does not fit.

    >>> wrapped("tuned model's own answers", 120.0)
    ["tuned model's", 'own answers']
    >>> wrapped("", 100.0)
    ['']
    """
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if not lines[-1] or width_of(joined, size) <= width or len(lines) == n_lines:
            lines[-1] = joined
        else:
            lines.append(word)
    return [shortened(line, width, size) for line in lines]


def apart(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
    """Places as near to `wanted` as their order allows, `gap` apart, in [low, high].

    [low, high] must have room for all of them.

    >>> apart([50.0, 52.0, 10.0], 15.0, 0.0, 60.0)
    [45.0, 60.0, 10.0]
    """
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    placed = [0.0] * len(wanted)
    least = low
    for k in order:
        placed[k] = least = max(wanted[k], least)
        least += gap
    most = high
    for k in reversed(order):
        placed[k] = most = min(placed[k], most)
        most -= gap
    return placed
