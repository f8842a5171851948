"""How an answer ended, and whether there is one (pure)."""

import unicodedata

from aftertune.behaviour.finding import Finding, clear, flag, unknown

_LITTLE = frozenset(".,;:…-–—_\"'`*#|")
NOT_SAID = "how the answer ended is not recorded"


def hit_limit(finish_reason: str) -> Finding:
    """Whether generation stopped at the length limit, as the table `responses` records it.

    It is known of answers made here and of files with a finish reason, and exact there. Of other
    files it is unknown, and not guessed from how the text ends.
    """
    if finish_reason == "length":
        return flag("cut at the length limit")
    return clear() if finish_reason == "stop" else unknown(NOT_SAID)


def empty(response: str) -> Finding:
    """Whether the answer holds nothing but white space, marks that are not seen, and the signs
    . , ; : … - – — _ " ' ` * # |

    >>> empty(" \\n").flagged, empty("...").flagged, empty("7").flagged, empty("👍").flagged
    (True, True, False, False)
    """
    for character in response:
        seen = not character.isspace() and unicodedata.category(character) not in ("Cc", "Cf")
        if seen and character not in _LITTLE:
            return clear()
    return flag("no word, number or drawing", 0, len(response))
