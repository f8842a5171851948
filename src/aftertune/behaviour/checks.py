"""The checks by name: what they count, and what is better (pure)."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["share", "number"]


@dataclass(frozen=True)
class Check:
    """label: as the page says it. kind: share of flagged answers, or mean of a number; percent:
    the number is itself a share. better: "less" or "more", where one is.
    """

    label: str
    kind: Kind = "share"
    better: Literal["less", "more"] | None = "less"
    percent: bool = True


CHECKS: dict[str, Check] = {
    "hit_limit": Check("hit the length limit"),
    "loop": Check("repetition loop"),
    "said_before": Check("words said before in the answer", "number"),
    "empty": Check("empty"),
    "template_tokens": Check("template tokens leaked"),
    "wrong_language": Check("in another language than the prompt"),
    "invalid_json": Check("no valid JSON where JSON was asked"),
    "refusal": Check("refuses", better=None),
    "refusal_harmless": Check("refuses a harmless prompt"),
    "refusal_deserved": Check("refuses where it should", better="more"),
    "verbatim": Check("a long run word for word from a row"),
    "personal_data": Check("mail address or telephone number of a row"),
    "words": Check("words", "number", None, percent=False),
    "tokens": Check("tokens", "number", None, percent=False),
}


def check_of(name: str, any_flag: bool) -> Check:
    """The check of this name; a user's own one counts flags, or is a number where it has none."""
    if name in CHECKS:
        return CHECKS[name]
    return Check(name, better=None) if any_flag else Check(name, "number", None, percent=False)
