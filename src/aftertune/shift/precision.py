"""In how many bits a model's weights were stored and computed with.

Of a base in 4 bits, part of a shift may be the rounding. What that part is, a shift tells whose
tuned model is the rounded base and whose base is the same checkpoint unrounded.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf

from aftertune.config import Dtype
from aftertune.models.files import read_json
from aftertune.models.packaged import embedded_gguf
from aftertune.models.reference import ModelRef

_FLOATS = ("F64", "F32", "F16", "BF16")


def precision(ref: ModelRef, facts: Mapping[str, Any], dtype: Dtype) -> dict[str, Any]:
    """JSON values: computed_in (dtype), stored_dtype (of most weights; None where they are stored
    in no float type), quantised: None, or {by, type, bits}, as far as the checkpoint says.

    facts: `Loaded.facts`. An adapter's weights are its base's.
    """
    weights = ref.base if ref.kind == "adapter" and ref.base else ref
    return {
        "computed_in": dtype,
        "stored_dtype": facts["stored_dtype"],
        "quantised": _quantised(weights),
    }


def _quantised(ref: ModelRef) -> dict[str, Any] | None:
    path = embedded_gguf(ref.spec) if ref.kind == "embedded" else ref.path
    assert path is not None
    return _of_gguf(path) if path.is_file() else _of_config(path / "config.json")


def _of_gguf(path: Path) -> dict[str, Any] | None:
    """By the type that most weights have; they are turned into floats when they are loaded."""
    kinds: Counter[gguf.GGMLQuantizationType] = Counter()
    for tensor in gguf.GGUFReader(path).tensors:
        kinds[tensor.tensor_type] += int(tensor.n_elements)
    kind = kinds.most_common(1)[0][0]
    if kind.name in _FLOATS:
        return None
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    return {"by": "gguf", "type": kind.name, "bits": 8 * size / elements}


def _of_config(path: Path) -> dict[str, Any] | None:
    found = read_json(path).get("quantization_config")
    if not isinstance(found, dict):
        return None
    bits = found.get("bits")
    for name, n_bits in (("load_in_4bit", 4), ("load_in_8bit", 8), ("_load_in_4bit", 4),
                         ("_load_in_8bit", 8)):  # fmt: skip
        bits = n_bits if bits is None and found.get(name) else bits
    kind = found.get("bnb_4bit_quant_type") if bits == 4 else None
    return {"by": found.get("quant_method"), "type": kind or found.get("fmt"), "bits": bits}
