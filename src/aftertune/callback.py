"""`from aftertune.callback import ShiftCallback`: shift and forgetting while a Trainer runs."""

from aftertune.tune.callback import ShiftCallback

__all__ = ["ShiftCallback"]
