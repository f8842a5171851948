"""What the report reads of one tuned model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class ModelTables:
    """One tuned model: manifests and tables. `pieces`: token id -> the vocabulary's piece."""

    name: str
    shift: Manifest
    tokens: pa.Table
    respond: Manifest
    responses: pa.Table
    tune: Manifest | None = None
    loss: pa.Table | None = None
    pieces: Mapping[int, str] | None = None
