"""What `lab score` is asked: which detectors are measured."""

from typing import ClassVar

from pydantic import Field

from aftertune.config import StageConfig


class LabScoreConfig(StageConfig):
    """Detectors against labels. What they found enters the artefact's id by its content."""

    recorded_only: ClassVar[frozenset[str]] = frozenset({"device", "timeout_s"})

    # names of baselines, MODULE:FUNCTION or FILE.py:FUNCTION; none: all baselines
    detectors: tuple[str, ...] = ()
    command: str | None = None  # a detector that is a command
    timeout_s: float = Field(600.0, gt=0)  # of the command, per world
    seed: int = Field(0, ge=0)  # of the intervals
    device: str = "auto"
