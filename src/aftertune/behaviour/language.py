"""Whether an answer is in the language of its prompt (pure).

The language is py3langid's (byte n-grams and naive Bayes, BSD, 4.5 MB with its model, numpy only;
lingua is 96 MB, langdetect and pycld2 need a build). It is believed from a probability of 0.8 on.
Measured error: docs/behaviour.md.
"""

import re
from functools import cache, lru_cache
from typing import Any

from aftertune.behaviour.finding import Finding, clear, flag, unknown

# those that it was measured on; it knows more, which are mostly mistaken for these
LANGUAGES = (
    "ar bg bn ca cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv nl no pl pt ro ru sk "
    "sl sr sv ta th tr uk vi zh"
)
ALIKE = (frozenset({"da", "no"}), frozenset({"hr", "sr", "sl"}), frozenset({"cs", "sk"}))
SURE = 0.8
LETTERS = 24  # fewer say too little; of scripts with a sign for a syllable or word, a third

_NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|\S+@\S+|<[^<>\n]{1,80}>|\$\$?[^$\n]{1,200}\$\$?",
    re.DOTALL,
)
_ANOTHER_ASKED = re.compile(
    r"\b(?:translat\w*|languages?|multilingual|bilingual|lyrics|arabic|bengali|bulgarian|catalan"
    r"|chinese|mandarin|croatian|czech|danish|dutch|english|estonian|finnish|french|german|greek"
    r"|hebrew|hindi|hungarian|indonesian|italian|japanese|korean|latin|latvian|lithuanian|norwegian"
    r"|persian|farsi|polish|portuguese|romanian|russian|serbian|slovak|slovenian|spanish|swedish"
    r"|tamil|thai|turkish|ukrainian|vietnamese|elvish|quenya|klingon|esperanto"
    r"|übersetz\w*|tradu\w*|英语|英文|翻译|中文)",
    re.IGNORECASE,
)


def wrong_language(prompt: str, response: str) -> Finding:
    """Whether the answer is surely in another language than its prompt; value: 0 or 1.

    Code, addresses, formulas and markup are taken out of both. Unknown where either is too short
    or not surely in one language, or where the prompt speaks of a language or a translation.
    Languages that are easily confused (Danish and Norwegian, ...) count as one.
    """
    if _ANOTHER_ASKED.search(prompt):
        return unknown("the prompt speaks of a language")
    asked, why = _of_prompt(prompt)
    if asked is None:
        return unknown(f"the prompt {why}")
    said, why = language_of(response)
    if said is None:
        return unknown(f"the answer {why}")
    if said == asked or any({said, asked} <= group for group in ALIKE):
        return clear()
    return flag(f"the prompt is in {asked}, the answer in {said}", 0, len(response))


def language_of(text: str) -> tuple[str | None, str]:
    """The text's language (ISO 639-1), or None and why not: it "is too short", ...

    >>> language_of("Das ist ein ganz gewöhnlicher deutscher Satz.")[0]
    'de'
    >>> language_of("42")
    (None, 'is too short')
    """
    prose = _NOT_PROSE.sub(" ", text)
    weight = sum((3 if ord(c) > 0x2E7F else 1) for c in prose if c.isalpha())
    if weight < LETTERS:
        return None, "is too short"
    language, probability = _identifier().classify(" ".join(prose.split()))
    if probability < SURE:
        return None, "is not surely in one language"
    return str(language), ""


@lru_cache(maxsize=4096)
def _of_prompt(prompt: str) -> tuple[str | None, str]:
    """As `language_of`; several models answer one prompt."""
    return language_of(prompt)


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]  # noqa: PLC0415 - 2 s to load

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(LANGUAGES.split())
    return identifier
