"""Weights of evidence that were fitted where the truth is known: on made worlds (pure but for
reading the file that the package carries).

`weights.json` holds them, with the worlds, the labels and the command that they come from. A
feature is minus the logarithm of a rank, so weights fitted on one set of rows can be tried on
another; they rank, and are no probabilities. None is below 0: more evidence never counts against a
row. Whether they carry over to real rows is measured (`bench/trace_lab.py`), and `rank.WEIGHTS`
stays what `trace` uses where they do not.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from aftertune.errors import InternalError
from aftertune.trace.rank import log_ranks
from aftertune.trace.reading import Bools, Floats, Ints

FILE = "weights.json"
RIDGE = 1.0  # pulls weights towards 0, as one more pair of spans' worth of doubt

TEXT = ("rarity", "rarest", "nearness", "exact", "pieces", "concept", "bm25", "span_rarity")
MODELS = (*TEXT, "row_loss", "influence_base")


def fitted(name: str) -> dict[str, float]:
    """The committed weights `text` or `models`: kind of evidence -> what its log rank counts.

    Raises InternalError where there are none of that name.
    """
    held: Mapping[str, Any] = json.loads(
        files("aftertune.trace").joinpath(FILE).read_text(encoding="utf-8")
    )
    if name not in held["weights"]:
        raise InternalError(f"{FILE} holds no weights called {name}")
    return {kind: float(value) for kind, value in held["weights"][name].items()}


def features(evidence: Mapping[str, Floats], kinds: Sequence[str], span: Ints) -> Floats:
    """[P, K]: minus the log rank of each kind among the pairs of the same span.

    evidence: [P] per kind, higher is more; span [P]: the number of each pair's span. A kind that is
    not there tells nothing: all share one rank.
    """
    found = np.zeros((len(span), len(kinds)))
    for number in np.unique(span):
        its = np.flatnonzero(span == number)
        for column, kind in enumerate(kinds):
            values = evidence[kind][its] if kind in evidence else np.zeros(len(its))
            found[its, column] = -log_ranks(values)
    return found


def fit(x: Floats, caused: npt.ArrayLike, ridge: float = RIDGE) -> Floats:
    """[K] weights of a logistic regression with an intercept, none below 0.

    x [P, K]: features; caused [P]: whether the row caused the span. Minimises the sum of negative
    log-likelihoods + ridge / 2 x the squared weights. Where all pairs are of one kind nothing can
    be told and all weights are 0.
    """
    y: Bools = np.asarray(caused, bool)
    n_kinds = x.shape[1]
    if y.all() or not y.any():
        return np.zeros(n_kinds)
    sign = np.where(y, 1.0, -1.0)

    def loss(point: Floats) -> tuple[float, Floats]:
        margin = sign * (x @ point[1:] + point[0])
        pull = -sign * expit(-margin)
        slope = np.concatenate([[pull.sum()], pull @ x + ridge * point[1:]])
        return float(np.logaddexp(0, -margin).sum() + ridge / 2 * (point[1:] ** 2).sum()), slope

    bounds = [(None, None)] + [(0.0, None)] * n_kinds
    found = minimize(loss, np.zeros(n_kinds + 1), jac=True, bounds=bounds, method="L-BFGS-B")
    weights: Floats = found.x[1:]
    return weights
