"""Which token ids mean the same in two models.

Divergences compare two distributions id by id, so an id must mean the same string in both.
An id is

- common when both tokenizers have a string for it, it is the same string (or a renamed special
  token), and both models have a row for it in their embedding matrix;
- base_only or tuned_only when just one of the two can produce a string with it, as with added
  tokens;
- unnamed when neither tokenizer has a string for it: padding of the embedding matrix. A model may
  put mass there; it counts as mass outside the common ids.

Ids that a tokenizer has but its model has no row for can never be produced and count nowhere.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from aftertune.errors import VocabularyError

# Ordinary vocabulary entries that are kept free for later special tokens.
_PLACEHOLDER = re.compile(
    r"[<\[]\|?_?(unused|reserved|extra|placeholder|dummy|special)[\w|]*[>\]]|madeupword\d+", re.I
)


@dataclass(frozen=True)
class Side:
    """One model's tokens: `vocab` string -> id, ids of special and added tokens, embedding rows."""

    vocab: Mapping[str, int]
    special: frozenset[int]
    size: int


@dataclass(frozen=True)
class Vocabulary:
    """Two vocabularies side by side; all id arrays are int64 and ascending."""

    common: npt.NDArray[np.int64]
    base_only: npt.NDArray[np.int64]
    tuned_only: npt.NDArray[np.int64]
    renamed: list[tuple[int, str, str]] = field(default_factory=list)  # id, base, tuned
    base_size: int = 0
    tuned_size: int = 0
    n_unnamed: int = 0  # ids with a row in some embedding matrix and a string in no tokenizer

    @property
    def is_identical(self) -> bool:
        """Every id of both models is common and none was renamed."""
        return len(self.common) == self.base_size == self.tuned_size and not self.renamed

    def warning(self) -> str | None:
        """One sentence about renamed special tokens; None when there are none."""
        if not self.renamed:
            return None
        shown = ", ".join(f"{i} {old} -> {new}" for i, old, new in self.renamed[:3])
        more = f" and {len(self.renamed) - 3} more" if len(self.renamed) > 3 else ""
        return (
            f"tuning renamed special tokens ({shown}{more}); they are compared as the same ids, "
            "whatever their names."
        )

    def describe(self) -> dict[str, Any]:
        """JSON values for a manifest."""
        return {
            "n_common": len(self.common),
            "base_only": self.base_only.tolist(),
            "tuned_only": self.tuned_only.tolist(),
            "renamed": [list(entry) for entry in self.renamed],
            "base_size": self.base_size,
            "tuned_size": self.tuned_size,
            "n_unnamed": self.n_unnamed,
        }


def compare(
    base: Mapping[str, int],
    tuned: Mapping[str, int],
    base_special: Collection[int] = (),
    tuned_special: Collection[int] = (),
    base_size: int | None = None,
    tuned_size: int | None = None,
) -> Vocabulary:
    """The common ids of two tokenizers.

    base, tuned: string -> id, added tokens included; *_special: ids of special and added tokens;
    *_size: rows of the models' embedding matrices (default: one more than the largest id).

    Raises VocabularyError naming the first id that means two different strings, unless it is a
    special or added token in both, or one that replaced a placeholder; those are `renamed`.
    """
    base_strings, tuned_strings = _by_id(base), _by_id(tuned)
    base_size = _size(base_strings, base_size)
    tuned_size = _size(tuned_strings, tuned_size)
    common, base_only, tuned_only, renamed, n_unnamed = [], [], [], [], 0
    for token_id in range(max(base_size, tuned_size)):
        old = base_strings.get(token_id) if token_id < base_size else None
        new = tuned_strings.get(token_id) if token_id < tuned_size else None
        if old is None and new is None:
            n_unnamed += 1
        elif new is None:
            base_only.append(token_id)
        elif old is None:
            tuned_only.append(token_id)
        else:
            if not old & new:
                _allow_renaming(token_id, old, new, base_special, tuned_special)
                renamed.append((token_id, min(old), min(new)))
            common.append(token_id)
    if not common:
        raise VocabularyError(
            "the two tokenizers have no token id in common; give a base and a tuned model of one "
            "family."
        )
    return Vocabulary(
        _ids(common), _ids(base_only), _ids(tuned_only), renamed, base_size, tuned_size, n_unnamed
    )


def between(base: Side, tuned: Side) -> Vocabulary:
    """`compare` for two sides that `of` extracted."""
    return compare(base.vocab, tuned.vocab, base.special, tuned.special, base.size, tuned.size)


def of(tokenizer: Any, size: int | None = None) -> Side:
    """The side of a transformers tokenizer; `size` is its model's embedding rows.

    Without `size`, one more than the tokenizer's largest id.
    """
    vocab = {str(token): int(token_id) for token, token_id in tokenizer.get_vocab().items()}
    special = {int(token_id) for token_id in tokenizer.all_special_ids}
    special.update(int(token_id) for token_id in tokenizer.added_tokens_decoder)
    return Side(vocab, frozenset(special), size or max(vocab.values(), default=-1) + 1)


def _by_id(vocab: Mapping[str, int]) -> dict[int, set[str]]:
    """id -> its strings: a renamed added token may leave its old string in the vocabulary."""
    strings: dict[int, set[str]] = {}
    for token, token_id in vocab.items():
        strings.setdefault(token_id, set()).add(token)
    return strings


def _size(strings: Mapping[int, set[str]], size: int | None) -> int:
    return size if size is not None else max(strings, default=-1) + 1


def _allow_renaming(
    token_id: int,
    old: set[str],
    new: set[str],
    base_special: Collection[int],
    tuned_special: Collection[int],
) -> None:
    in_base, in_tuned = token_id in base_special, token_id in tuned_special
    if in_base and in_tuned:
        return
    if in_tuned and any(_PLACEHOLDER.fullmatch(token) for token in old):
        return
    raise VocabularyError(
        f"token id {token_id} is {min(old)!r} in the base's tokenizer and {min(new)!r} in the "
        "tuned model's; compare models that share a tokenizer."
    )


def _ids(values: list[int]) -> npt.NDArray[np.int64]:
    return np.array(values, dtype=np.int64)
