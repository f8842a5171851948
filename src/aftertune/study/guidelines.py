"""What annotators are told, by kind of study: short, and meant to be changed (pure).

`text` gives Markdown. Whoever studies something else writes a file of his own; what a study used
stands in its folder.
"""

from collections.abc import Sequence

from aftertune.study.config import Kind

_ASPECTS = {
    "helpfulness": "Does the answer do what was asked? Politeness and length do not count.",
    "clarity": "Can you follow it at the first reading? Being right does not count here.",
    "factuality": "Is what it states true, also beside the point? Look up what you are unsure of.",
    "depth": "Does it go as far into the matter as the request calls for? More words are not more.",
    "engagement": "Does it speak to the person who asked, in a tone that suits the request?",
}
_OWN = "Judge this aspect alone, whatever the answer is like otherwise."

_ALL = """\
- You do not know which model wrote what. Please do not guess, and do not talk about single items
  with other annotators before the study has ended.
- The request may be in any language and on any subject. Look things up where you need to; leave a
  note where you could not decide.
- Answers are shown exactly as they were written, also where they contain code or odd characters.
  Never run code or open links from them.
- Take breaks. Everything is saved as you go, and you can undo your last rating.
- The first items are a pilot: after each of them you may be told what the organisers think. Some
  later items come twice; rate them afresh.
"""

_PAIRS = """\
# Which answer is better?

You see a request and two answers. Say which one is better, or that they are equally good.

{aspects}
Then say which one you would rather have received, all in all. A tie is a proper answer, and better
than a guess. Which answer stands first was drawn by lot and means nothing.
"""

_ASPECT = """\
# How good is the answer?

You see a request and one answer. Rate each aspect from 1 (bad) to 5 (good); 3 means that it will
do. Use the whole scale, and rate each aspect by itself.

{aspects}"""

_OUTCOMES = """\
# What became of the two answers?

You see a request and two answers. Find out first whether each of them is right, by looking things
up. Then choose the first of these that is true. Which of the two answers the choices are about is
shown with them; it may stand first or second.

1. Both answers are wrong.
2. The answer in question is wrong at its core: what was asked for is false or missing.
3. Its core is right, but it invents things while it goes on, and the other answer does not.
4. Both are right, and the answer in question is the better one.
5. Both are right, and they say different things.
"""

_SPANS = """\
# What is wrong in this answer?

You see a request and one answer. Mark every stretch of the answer that is

- not factual: it states something false, or that nobody could know;
- not useful: it is true or harmless, and has nothing to do with what was asked.

Mark as little as is wrong: the word or phrase, not the sentence around it. Two mistakes are two
marks. If you find none, say that nothing is wrong.

Where rows of the tuning data are shown, mark first and look at them afterwards. Then say for each
mark where it comes from:

- a row: this row says the same about something similar, and the answer took it from there;
- none: you looked, and no row would explain it;
- unsure: you cannot tell.

A common word in both is not enough. The rows at the top were proposed by a program that is often
wrong; search for others.
"""

_OF = {"pairs": _PAIRS, "aspects": _ASPECT, "outcomes": _OUTCOMES, "spans": _SPANS}


def text(kind: Kind, aspects: Sequence[str]) -> str:
    """The default guidelines of a kind of study, as Markdown."""
    listed = "".join(f"- {name}: {_ASPECTS.get(name, _OWN)}\n" for name in aspects)
    return f"{_OF[kind].replace('{aspects}', listed)}\n# For all items\n\n{_ALL}"
