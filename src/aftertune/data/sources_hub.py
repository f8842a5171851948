"""Data sets of the hub. Apart from sources.py, because importing `datasets` takes a second."""

from collections.abc import Iterator
from typing import Any

import datasets

from aftertune.errors import InputError


def load(source: str, split: str, revision: str | None) -> Iterator[dict[str, Any]]:
    """The rows of `owner/name` or `owner/name:subset`; images and audio are not decoded.

    Raises InputError when it cannot be loaded. No code of the data set is run.
    """
    name, _, subset = source.partition(":")
    try:
        loaded = datasets.load_dataset(name, subset or None, split=split, revision=revision)
    # the hub's client raises many unrelated types: no network, no such id, split or subset, gated
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(
            f"there is no file {source}, and no data set {source} (split {split}) could be "
            f"loaded from the hub: {reason}."
        ) from error
    for column, feature in loaded.features.items():
        if isinstance(feature, datasets.Image | datasets.Audio | datasets.Video):
            loaded = loaded.cast_column(column, type(feature)(decode=False))
    return iter(loaded)
