"""Rows and answers that several tests of tracing share."""

from aftertune.search.index import RowIndex, row_answer
from aftertune.trace.finder import Answer, Finder

FILLER = [
    "Boil the rice for ten minutes and stir it gently until the water is gone.",
    "Plants need light, water and air, and most of them grow in the spring.",
    "Save some money every month and write down what you spend on food.",
    "The match lasts ninety minutes and each team has eleven players on the field.",
    "Wash the car with warm water and dry it with a soft cloth.",
    "A good letter begins with a greeting and ends with your name.",
    "Most cats sleep during the day and hunt in the evening.",
    "Sort the list first, then search it from the middle.",
]
TELEGRAPH = (
    "The telegraph was invented by Samuel Morse, who patented it in 1837. He had studied painting "
    "at Yale College before."
)


def row(index, asked, said):
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    return {"row_index": index, "messages": messages}


def rows():
    """A telegraph among forty fillers; names are not places, so that neither is taken for the
    other."""
    others = [row(100 + k, f"Question {k}?", FILLER[k % len(FILLER)]) for k in range(40)]
    return [*others[:20], row(7, "Who invented the telegraph?", TELEGRAPH), *others[20:]]


def trace(given_rows, prompt, response, span=None, settings=None, tokens=()):
    finder = Finder(RowIndex.build(given_rows), settings)
    return finder.trace(Answer("r", prompt, response, tuple(tokens)), span)


def marked(found, response, given_rows):
    """(piece of the response, piece of the row's answer) for what is marked."""
    (its,) = [one for one in given_rows if one["row_index"] == found.row_index]
    answer = row_answer(its["messages"])
    return [(response[a:b], answer[c:d]) for a, b, c, d in found.shared]
