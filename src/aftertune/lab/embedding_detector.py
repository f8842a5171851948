"""Rows by meaning: cosine of sentence embeddings (`search/embeddings.py`), as a baseline."""

from collections.abc import Sequence

import numpy as np

from aftertune.errors import ModelError
from aftertune.lab.detectors import Case, Finding, Record, best_rows, whole
from aftertune.search.embeddings import minilm

_DIGITS = 5  # of a cosine; what is behind them depends on batches and threads


def embedding(cases: Sequence[Case], rows: Sequence[Record]) -> list[Finding]:
    """Rows by the cosine of prompt and answer together; the score is that of the best row.

    Without the model's package every case has that as its reason.
    """
    if not cases:
        return []
    asked = [f"{case.prompt} {case.response}" for case in cases]
    texts = list(dict.fromkeys([*asked, *(whole(row) for row in rows)]))
    try:
        found = minilm(texts).astype(np.float64)
    except ModelError as error:
        return [Finding(None, reason=str(error).rstrip("."))] * len(cases)
    place = {text: number for number, text in enumerate(texts)}
    of_rows = found[[place[whole(row)] for row in rows]]
    return [best_rows(np.round(of_rows @ found[place[text]], _DIGITS), rows) for text in asked]
