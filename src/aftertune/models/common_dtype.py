"""One dtype for models whose numbers stand in one table."""

from collections.abc import Iterable

from aftertune.config import Dtype
from aftertune.models.reference import resolve


def common_dtype(tuned: Iterable[str], base: str, asked: Dtype) -> Dtype:
    """The dtype in which all of `tuned` are scored; base: of adapters that name none.

    A merged adapter differs from the same adapter unmerged by 0.001 nats in bf16, so adapters
    beside whole checkpoints are scored in float32 unless the user says otherwise.
    """
    adapters = {resolve(model, base).kind == "adapter" for model in tuned}
    return "float32" if asked == "auto" and len(adapters) == 2 else asked
