"""Does an answer say the right thing? Written rules, no model (pure; English).

`words` brings a text into one form; `match` compares the forms. The rules of the form, in order:

1. Unicode: compatibility forms and typographic marks are made plain (NFKC, quotes, dashes, thin
   spaces); after step 2 letters lose case and accents.
2. Roman numerals of two or more capital letters (II, XIV) become numbers.
3. Dates: "4 July 1776", "July 4th, 1776", "July 1776", "1776-07-04" become year, month, day, in
   this order. A year alone is the same number as in a date. "04/07/1776" is left as it is, since
   it has two meanings.
4. Numbers: separators of thousands go ("3,000", "3 000"); number words become digits ("twenty-one",
   "three million", "1.5 million"); "first" and "1st" are one word, another one than "1". "1.50" is
   "1.5". A hyphen right before a digit, behind no letter or digit, is a minus.
5. "&" is and, "%" and "per cent" are percent; possessive 's goes, and so does every other mark.
6. Articles (a, an, the) go.
7. Spelling: British forms become American by their endings (-our, -ise, -yse, -isation, -ogue,
   -tre), ae and oe become e, a doubled l before -ed and -ing becomes one, a few by a list.

`match` says "equal" where the forms are alike; "contained" where the form of the right answer
stands within the other one's, as whole words, if the answer has none of the distractors (where
they are not part of the right answer) and no negation. Everything else is no match. Both count as
right: base models answer in a word, tuned ones in a sentence.
"""

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

Match = Literal["equal", "contained"]

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september",
           "october", "november", "december")  # fmt: skip
_MONTH = {name: n for n, name in enumerate(_MONTHS, start=1)}
_MONTH |= {name[:3]: n for name, n in _MONTH.items() if name != "may"} | {"sept": 9}
_SMALL_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_SMALL = {word: n for n, word in enumerate(_SMALL_WORDS)}
_TENS_WORDS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_TENS = {word: 10 * n for n, word in enumerate(_TENS_WORDS, start=2)}
_SCALES: dict[str, int] = {
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_ORDINAL_WORDS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth",
    "eighteenth", "nineteenth",
)  # fmt: skip
_ORDINALS = {word: n for n, word in enumerate(_ORDINAL_WORDS, start=1)}
_ORDINALS |= {word[:-1] + "ieth": n for word, n in _TENS.items()}
_SPELLED = {"grey": "gray", "aluminium": "aluminum", "sulphur": "sulfur", "plough": "plow",
            "tyre": "tire", "programme": "program", "cheque": "check", "jewellery": "jewelry",
            "licence": "license", "defence": "defense", "okay": "ok", "bce": "bc", "ce": "ad",
            "mould": "mold", "moustache": "mustache", "pyjamas": "pajamas"}  # fmt: skip
_ARTICLES = frozenset({"a", "an", "the"})
_NEGATIONS = frozenset({"not", "never", "no", "neither", "nor", "isnt", "wasnt", "cannot", "cant",
                        "didnt", "doesnt", "wont"})  # fmt: skip
_PLAIN = str.maketrans({"‘": "'", "’": "'", "ʼ": "'", "“": '"', "”": '"', "–": "-", "—": "-",
                        "−": "-", "‐": "-", "‑": "-", "⁄": "/", "\u2009": " ", "\u202f": " ",
                        "\xa0": " ", "ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
                        "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "đ": "d"})  # fmt: skip
_ROMAN = re.compile(r"\b(?=[IVX]{2,}\b)X{0,3}(?:IX|IV|V?I{0,3})(?<=[IVX])\b")
_NAMES = "|".join(sorted(_MONTH, key=len, reverse=True))
_ISO = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_DAY_FIRST = re.compile(rf"\b{_DAY} (?:of )?({_NAMES})\b\.?(?:,? (\d{{3,4}})\b)?")
_MONTH_FIRST = re.compile(rf"\b({_NAMES})\b\.? {_DAY}\b(?:,? (\d{{3,4}})\b)?")
_MONTH_YEAR = re.compile(rf"\b({_NAMES})\b\.?,? (\d{{3,4}})\b")
_THOUSANDS = re.compile(
    r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])"
    r"|(?<![\d.,] )(?<![\d.,])\d{1,3}(?: \d{3})+(?! ?\d)"
)
_TOKEN = re.compile(
    r"(?<![^\W_])-?\d+(?:\.\d+)?(?:st|nd|rd|th)\b|(?<![^\W_])-?\d+(?:\.\d+)?|[^\W\d_]+|\d+"
)
_ENDINGS = (
    (re.compile(r"isation(s?)$"), r"ization\1"),
    (re.compile(r"(?<=\w\w)is(e|es|ed|ing|er|ers)$"), r"iz\1"),
    (re.compile(r"ys(e|es|ed|ing)$"), r"yz\1"),
    (re.compile(r"(?<=\w\w)our(s|ed|ing|ful|ite|ites|able)?$"), r"or\1"),
    (re.compile(r"(?<=\w)tre(s?)$"), r"ter\1"),
    (re.compile(r"ogue(s?)$"), r"og\1"),
    (re.compile(r"ll(ed|ing|er|ers)$"), r"l\1"),
    (re.compile(r"[ao]e"), "e"),
)


def words(text: str) -> list[str]:
    """The words of `text` in the form that this module's rules make; empty for no words.

    >>> words("The 4th of July, 1776"), words("July 4, 1776") == words("1776-07-04")
    (['1776', 'month7', 'day4'], True)
    >>> words("Twenty-one million"), words("21,000,000"), words("World War II")
    (['21000000'], ['21000000'], ['world', 'war', '2'])
    """
    plain = unicodedata.normalize("NFKC", text.translate(_PLAIN)).translate(_PLAIN)
    plain = _ROMAN.sub(lambda found: str(_roman(found.group())), plain)
    letters = unicodedata.normalize("NFKD", plain.casefold())
    lower = "".join(c for c in letters if not unicodedata.combining(c))
    lower = re.sub(r"\s+", " ", lower)
    lower = _dated(_THOUSANDS.sub(lambda found: re.sub("[, ]", "", found.group()), lower))
    lower = lower.replace("&", " and ").replace("%", " percent ").replace("per cent", "percent")
    lower = re.sub(r"'s\b", "", lower).replace("'", "")
    tokens = re.findall(r"(?:month|day)\d+\b|" + _TOKEN.pattern, lower)
    counted = _counted([_digits(token) for token in tokens])
    return [_spelled(token) for token in counted if token not in _ARTICLES]


def match(answer: str, aliases: Sequence[str], distractors: Sequence[str] = ()) -> Match | None:
    """Whether `answer` says one of `aliases`, by the rules of this module; None where it does not.

    >>> match("It was Paris.", ["Paris"], ["Lyon"]), match("Paris or Lyon", ["Paris"], ["Lyon"])
    ('contained', None)
    """
    said = words(answer)
    right = [form for form in map(words, aliases) if form]
    if said in right:
        return "equal"
    inside = [form for form in right if _within(form, said)]
    if not inside or _NEGATIONS & set(said):
        return None
    left = said
    for form in sorted(inside, key=len, reverse=True):
        left = _without(form, left)
    wrong = [form for form in map(words, distractors) if form]
    return None if any(_within(form, left) for form in wrong) else "contained"


def first_line(text: str) -> str:
    """The first line with something on it: few-shot answers go on with a next question."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _within(form: Sequence[str], said: Sequence[str]) -> bool:
    n = len(form)
    return any(list(said[at : at + n]) == list(form) for at in range(len(said) - n + 1))


def _without(form: Sequence[str], said: Sequence[str]) -> list[str]:
    """`said` with every place of `form` made a gap that nothing reaches across."""
    left, n = list(said), len(form)
    for at in range(len(left) - n + 1):
        if left[at : at + n] == list(form):
            left[at : at + n] = [""] * n
    return left


def _roman(numeral: str) -> int:
    value = {"I": 1, "V": 5, "X": 10}
    digits = [value[c] for c in numeral]
    following = [*digits[1:], 0]
    return sum(-d if d < after else d for d, after in zip(digits, following, strict=True))


def _dated(text: str) -> str:
    def parts(year: str | None, month: int, day: str | None) -> str:
        return " ".join(
            [*([year] if year else []), f"month{month}", *([f"day{int(day)}"] if day else [])]
        )

    text = _ISO.sub(lambda m: parts(m[1], int(m[2]), m[3]), text)
    text = _DAY_FIRST.sub(lambda m: parts(m[3], _MONTH[m[2]], m[1]), text)
    text = _MONTH_FIRST.sub(lambda m: parts(m[3], _MONTH[m[1]], m[2]), text)
    text = _MONTH_YEAR.sub(lambda m: parts(m[2], _MONTH[m[1]], None), text)
    full = "|".join(name for name in _MONTHS if name not in ("may", "march"))
    return re.sub(rf"\b({full})\b", lambda m: f"month{_MONTH[m[1]]}", text)


def _digits(token: str) -> str:
    """Numbers without needless zeros; ordinals as `nth21`."""
    if found := re.fullmatch(r"(\d+)(?:st|nd|rd|th)", token):
        return f"nth{int(found[1])}"
    if re.fullmatch(r"-?\d+(?:\.\d+)?", token):
        return _number(Decimal(token))
    return f"nth{_ORDINALS[token]}" if token in _ORDINALS else token


def _number(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else str(int(text))


def _counted(tokens: list[str]) -> list[str]:
    """Runs of number words as one number, and an ordinal behind tens as one ordinal."""
    found: list[str] = []
    at = 0
    while at < len(tokens):
        length, value = _run(tokens, at)
        if not length:
            found.append(tokens[at])
            at += 1
            continue
        at += length
        after = tokens[at] if at < len(tokens) else ""
        ends = re.fullmatch(r"nth(\d)", after)
        if ends and value % 10 == 0 and value % 100 >= 20 and tokens[at - 1] in _TENS:
            found.append(f"nth{_number(value + int(ends[1]))}")
            at += 1
        else:
            found.append(_number(value))
    return found


def _run(tokens: Sequence[str], start: int) -> tuple[int, Decimal]:
    """How many tokens from `start` are one number, and which; 0 tokens where none is.

    A new number begins where a word cannot continue the last one: "nineteen eighty" are two.
    """
    total, at, last = Decimal(0), start, ""
    part: Decimal | None = None
    while at < len(tokens):
        token = tokens[at]
        if token in _SCALES and part is not None:
            total += part * _SCALES[token]
            part, last = Decimal(0), "scale"
        elif token == "hundred" and part is not None and last != "scale":
            part, last = part * 100, "hundred"
        elif token in _TENS and last in ("", "hundred", "scale"):
            part, last = (part or Decimal(0)) + _TENS[token], "tens"
        elif token in _SMALL and (last in ("", "hundred", "scale") or (
            last == "tens" and 0 < _SMALL[token] < 10
        )):  # fmt: skip
            part, last = (part or Decimal(0)) + _SMALL[token], "small"
        elif last == "" and re.fullmatch(r"\d+(?:\.\d+)?", token) and _scaled(tokens, at):
            part, last = Decimal(token), "small"
        elif token == "and" and last in ("hundred", "scale") and _goes_on(tokens, at + 1):
            pass
        else:
            break
        at += 1
    return (at - start, total + part) if part is not None else (0, total)


def _scaled(tokens: Sequence[str], at: int) -> bool:
    return at + 1 < len(tokens) and tokens[at + 1] in (*_SCALES, "hundred")


def _goes_on(tokens: Sequence[str], at: int) -> bool:
    return at < len(tokens) and (tokens[at] in _SMALL or tokens[at] in _TENS)


def _spelled(token: str) -> str:
    if token in _SPELLED:
        return _SPELLED[token]
    if len(token) > 4 and token.isalpha():
        for pattern, plain in _ENDINGS:
            token = pattern.sub(plain, token)
    return token
