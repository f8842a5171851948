"""How long answers and rows are, in words and in tokens (pure): the paper's table 11."""

import re
from collections.abc import Sequence

from aftertune.behaviour.finding import Finding, number, unknown

NO_IDS = "the answer has no token ids; --tokenizer MODEL counts its tokens"

_WORD = re.compile(r"\w+(?:['’\-]\w+)*")


def words(response: str) -> Finding:
    """Words of the answer: letters and digits, with hyphens and apostrophes inside.

    >>> words("It's a well-known fact: 42.").value
    5.0
    """
    return number(sum(1 for _ in _WORD.finditer(response)))


def tokens(token_ids: Sequence[int] | None, counted: int | None = None) -> Finding:
    """Tokens of the answer as it was made, the stop token among them; or as they were counted with
    one tokenizer for all (`counted`), which alone makes models with other tokenizers comparable.
    """
    if counted is not None:
        return number(counted)
    return unknown(NO_IDS) if token_ids is None else number(len(token_ids))
