"""What kind of token stands where, by written rules and no model (pure; English).

A token has the kind of the *word* that its first character which is not white space belongs to,
so all pieces of a word share one kind. The rules, the first that fits:

special      the token writes nothing: stop tokens and what else decoding leaves out
code         everything between ``` and ``` (or the end of the text) and within `...` on one line,
             white space included; elsewhere a URL, a `snake_case` name, an HTML tag, `\\command`
whitespace   nothing but white space, outside of code
style        - layout: at the start of a line `#`, `>`, `|`, bullets (`-`, `+`, `*`, •) and the
               numbers of lists (`1.`, `2)`); runs of two or more `*` anywhere
             - an opening of `word_lists.OPENERS` where a sentence or line begins, or behind such
               an opening and a comma ("Sure, here are"), the longest that fits; one of
               `OPENERS_BEFORE_A_MARK` there, if a mark follows ("No, ...")
             - a word of `word_lists.STYLE_WORDS` anywhere (typically, however, several)
punctuation  no letter and no digit: marks, symbols, emoji
number       begins with a digit, a currency sign and a digit, or holds no letter (1990s, 3.5%, $5,
             10km, ½); number words from two on, first to tenth (twenty-one)
other        its first letter is not Latin: there are no rules for it
function     in `word_lists.FUNCTION_WORDS`, alone or before an apostrophe (it's), or ends in n't
name         - an acronym (two to six capitals, U.S.), a capital right behind another letter
               (JavaScript, iPhone) unless all are capitals, a capital first and digits (GPT-4)
             - begins with a capital where a sentence does not
             - where a sentence begins: begins with a capital and stands with it elsewhere within a
               sentence and nowhere without it; or the next word, one space away, is a name
content      every other word

A sentence begins with the text, a line, behind . ! ? … : and an opening quote; a full stop behind
an initial or an abbreviation (Dr.) does not end one. In headings (`#`) and between `**` capitals
say nothing, so there only what is proven elsewhere is a name.

Other languages: words of Latin script pass through the English lists, so French function words are
called content and German nouns names; words in other scripts are `other`, and so the whole run
where a script puts no spaces. Known errors: Title Case without a mark is called names, code
without backticks is read as prose, and a list of names in lower case is content.
"""

import re
from collections.abc import Sequence

import numpy as np

from aftertune.text.word_lists import (
    ABBREVIATIONS,
    FUNCTION_WORDS,
    NUMBER_WORDS,
    OPENERS,
    OPENERS_BEFORE_A_MARK,
    STYLE_WORDS,
)

Span = tuple[int, int]

KINDS = (
    "style", "function", "content", "number", "name", "code", "punctuation", "other", "whitespace",
    "special",
)  # fmt: skip

_CODE = re.compile(r"`{3,}[\s\S]*?(?:`{3,}|\Z)|``[^\n]+?``|`[^`\n]+`")
# vowel signs and accents, which Python does not count among the characters of words
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06ed\u0900-\u0963\u0970-\u0e4e\u0e81-\u0ece\u0f71-\u0f84\u102b-\u103e\u17b4-\u17d3"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u200c\u200d\u20d0-\u20ff"
)
_LETTERS = rf"(?:[A-Za-z]+|[^\W\d_]|[{_MARKS}])+"
_WORD = re.compile(
    rf"""(?P<code>(?:https?://|www\.)[^\s`<>"']*[^\s`<>"'.,;:!?)\]*]
        |[^\W_]+(?:_+[^\W_]+)+
        |</?[a-z][a-z0-9]*(?:\s[^<>\n]{{0,200}})?/?>
        |\\[A-Za-z]+)
    |(?P<number>[$€£¥]?\d+(?:[.,:/–-]\d+)*(?:%|°[CF]?|{_LETTERS})?)
    |(?P<letters>(?:[A-Za-z]\.){{2,}}
        |{_LETTERS}(?:\d+|['’-](?:{_LETTERS}|\d+)|{_LETTERS})*)
    |\*+|_+|[^\w\s*]+|\S""",
    re.VERBOSE,
)  # fmt: skip
_LATIN = re.compile(r"[A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff]")
_BULLET = re.compile(r"[#>|+•‣◦*\-–—=]+\Z")
_ENDS = re.compile(r"[.!?…:]")
_ACRONYM = re.compile(r"(?:[A-Z]{2,6}s?|(?:[A-Z]\.){2,})\Z")
_INNER_CAPITAL = re.compile(r"[^\W\d_][A-Z]")

_PHRASES: dict[str, list[tuple[str, ...]]] = {}
for _phrase in sorted((tuple(o.split()) for o in OPENERS), key=len, reverse=True):
    _PHRASES.setdefault(_phrase[0], []).append(_phrase)


def words(text: str) -> list[Span]:
    """Spans [start, end) of the words, in order: they cover all but the white space of `text`.

    A word is a run of letters and digits (with apostrophes and hyphens inside), a number, a URL or
    a run of marks. No word reaches across the edge of code.
    """
    return [match.span() for match, _ in _matches(text)]


def kinds_of_words(text: str) -> list[str]:
    """The kind of each of `words(text)`, one of KINDS."""
    return _Reading(text).kinds()


def word_of_tokens(spans: Sequence[Span], bounds: Sequence[Span]) -> list[int]:
    """For each token the index of its word in `bounds` (from `words`), or -1.

    A token belongs to the word of its first character that is not white space; white space alone
    and an empty span belong to none.
    """
    if not bounds:
        return [-1] * len(spans)
    starts, ends = np.asarray(bounds).T
    first, last = np.asarray(spans, dtype=np.int64).reshape(-1, 2).T
    word = np.searchsorted(ends, first, side="right")
    inside = (word < len(ends)) & (first < last)
    inside &= starts[np.minimum(word, len(ends) - 1)] < last
    return [int(index) for index in np.where(inside, word, -1)]


def kinds_of_tokens(text: str, spans: Sequence[Span]) -> list[str]:
    """The kind of each token from its span [start, end) in `text`."""
    reading = _Reading(text)
    kinds = reading.kinds()
    code = [match.span() for match in _CODE.finditer(text)]
    of_word, of_code = word_of_tokens(spans, reading.spans), word_of_tokens(spans, code)
    found = []
    for (start, end), word, region in zip(spans, of_word, of_code, strict=True):
        if start == end:
            found.append("special")
        elif word >= 0:
            found.append(kinds[word])
        else:
            found.append("code" if region >= 0 and code[region][0] <= start else "whitespace")
    return found


def _matches(text: str) -> list[tuple[re.Match[str], bool]]:
    """Every word, and whether it stands in code."""
    found = []
    at = 0
    for code in _CODE.finditer(text):
        found += [(match, False) for match in _WORD.finditer(text, at, code.start())]
        found += [(match, True) for match in _WORD.finditer(text, *code.span())]
        at = code.end()
    return found + [(match, False) for match in _WORD.finditer(text, at)]


def _plain(word: str) -> str:
    """Lower case, with straight apostrophes and without the last stop of an abbreviation."""
    return word.lower().replace("’", "'").rstrip(".")


def _head(word: str) -> str:
    """What stands before the apostrophe: Paris's -> Paris."""
    return word.replace("’", "'").split("'")[0]


class _Reading:
    """One text: its words and, for each, where it stands. Two passes, since names need proof."""

    def __init__(self, text: str) -> None:
        matches = _matches(text)
        self.text = text
        self.spans = [match.span() for match, _ in matches]
        self.words = [match.group() for match, _ in matches]
        self.groups = ["code" if code else match.lastgroup for match, code in matches]
        self.plain = [_plain(word) for word in self.words]
        self.fresh = [False] * len(matches)  # a capital says nothing here
        self.titled = [False] * len(matches)  # nor anywhere near
        self.found: list[str | None] = [None] * len(matches)

    def kinds(self) -> list[str]:
        self._places()
        for index, group in enumerate(self.groups):
            if self.found[index] is None:
                self.found[index] = self._listed(index, group)
        unknown = [index for index, kind in enumerate(self.found) if kind is None]
        within = {_head(self.words[i]) for i in unknown if not self.fresh[i]}
        small = {_head(self.plain[i]) for i in unknown if self.words[i][0].islower()}
        for index in reversed(unknown):  # the next word's kind is known first
            head = _head(self.words[index])
            proven = head in within and head.lower() not in small
            self.found[index] = "name" if self._is_name(index, proven) else "content"
        return [kind or "content" for kind in self.found]

    def _places(self) -> None:
        """Finds layout, openings and where sentences begin."""
        heading = bold = False
        fresh = opening = True  # a sentence begins; an opening may stand here
        end = skip = 0
        for index, (start, stop) in enumerate(self.spans):
            gap, word, group = self.text[end:start], self.words[index], self.groups[index]
            line_start = index == 0 or "\n" in gap
            end = stop
            if line_start:
                heading, fresh, opening = False, True, True
                bold = bold and "\n\n" not in gap
            self.fresh[index] = fresh or heading or bold
            self.titled[index] = heading or bold
            if index < skip:  # within an opening
                fresh = False
            elif group == "code":
                fresh = opening = False
            elif group is None:
                heading |= line_start and word.startswith("#")
                bold ^= word == "**"
                if self._is_layout(index, line_start):
                    self.found[index] = "style"
                else:
                    fresh, opening = self._behind_marks(index, fresh, opening)
            elif group == "number" and line_start and self._is_list_number(index):
                self.found[index] = self.found[index + 1] = "style"
            else:
                length = self._opening(index) if opening else 0
                self.found[index : index + length] = ["style"] * length
                skip = index + length
                fresh, opening = False, length > 0

    def _behind_marks(self, index: int, fresh: bool, opening: bool) -> tuple[bool, bool]:
        """Whether a sentence begins, and an opening may stand, behind these marks."""
        word, stop = self.words[index], self.spans[index][1]
        if self.found[index] == "style":  # the stop of a list's number
            return True, True
        if _ENDS.search(word) and not self._abbreviates(index):
            return True, True
        if word[-1] in "\"“'‘«" and self.text[stop : stop + 1].isalpha():
            return True, True
        return fresh, opening and (fresh or word == ",")

    def _abbreviates(self, index: int) -> bool:
        if index == 0 or self.words[index][0] != "." or self.groups[index - 1] != "letters":
            return False
        before = self.words[index - 1]
        initial = len(before) == 1 and before.isupper() and before != "I"
        return initial or self.plain[index - 1] in ABBREVIATIONS

    def _is_layout(self, index: int, line_start: bool) -> bool:
        word, stop = self.words[index], self.spans[index][1]
        if len(word) > 1 and not word.strip("*"):
            return True
        apart = not self.text[stop : stop + 1].strip()
        return line_start and apart and _BULLET.match(word) is not None

    def _is_list_number(self, index: int) -> bool:
        stop = self.spans[index][1]
        if index + 1 >= len(self.words) or self.words[index + 1] not in (".", ")"):
            return False
        return self.words[index].isdecimal() and not self.text[stop + 1 : stop + 2].strip()

    def _opening(self, index: int) -> int:
        """How many words of an opening stand here, one space apart; 0 where none does."""
        mark = self.groups[index + 1 : index + 2] == [None]
        if mark and self.plain[index] in OPENERS_BEFORE_A_MARK:
            return 1
        for phrase in _PHRASES.get(self.plain[index], ()):
            last = index + len(phrase)
            if tuple(self.plain[index:last]) == phrase and all(
                self.text[self.spans[i][1] : self.spans[i + 1][0]] == " "
                for i in range(index, last - 1)
            ):
                return len(phrase)
        return 0

    def _listed(self, index: int, group: str | None) -> str | None:
        """The kind of a word that needs no look at its neighbours."""
        word, plain = self.words[index], self.plain[index]
        if group == "code":
            return "code"
        if group == "number":
            return "number"
        letter = next((c for c in word if c.isalpha()), None)
        if letter is None:
            return "number" if any(c.isnumeric() for c in word) else "punctuation"
        if not _LATIN.match(letter):
            return "other"
        if plain in STYLE_WORDS:
            return "style"
        first, *parts = plain.split("-")
        if first in NUMBER_WORDS and all(part in NUMBER_WORDS or part == "one" for part in parts):
            return "number"
        if _head(plain) in FUNCTION_WORDS or plain.endswith("n't"):
            return None if word in ("US", "IT") else "function"
        return None

    def _is_name(self, index: int, proven: bool) -> bool:
        word = self.words[index]
        head = _head(word)
        if _ACRONYM.match(head) or (_INNER_CAPITAL.search(head) and not head.isupper()):
            return True
        if not word[0].isupper():
            return False
        if any(c.isdigit() for c in word):
            return True
        if head.isupper() and len(head) > 1:  # SHOUTED
            return False
        if not self.fresh[index] or proven:
            return True
        return not self.titled[index] and self._before_a_name(index)

    def _before_a_name(self, index: int) -> bool:
        following = index + 1
        gap = " "
        if len(self.words[index]) == 1 and self.words[following : following + 1] == ["."]:
            following, gap = following + 1, ". "  # an initial
        if following >= len(self.words) or self.found[following] != "name":
            return False
        return self.text[self.spans[index][1] : self.spans[following][0]] == gap
