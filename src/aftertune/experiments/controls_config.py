"""Which controls there are, and what they may be given; apart from the experiments, which load
torch."""

from pydantic import field_validator

from aftertune.config import StageConfig

# In the order in which they run: the cheap ones first.
NAMES = ("template", "texts", "words", "hand-off", "unrounded", "parts", "floors")
ALL = "all"
_NEEDS_MORE = "unrounded"  # not among `all` where it has nothing to work on


class ControlsConfig(StageConfig):
    """Controls of audited models."""

    which: tuple[str, ...]
    references: str | None = None  # answers that exist: a file, or a `respond-…` artefact
    unrounded_base: str | None = None

    @field_validator("which", mode="before")
    @classmethod
    def _are_known(cls, value: object) -> object:
        return chosen(value)

    def asked(self) -> tuple[str, ...]:
        """The names in the order in which they run."""
        if ALL not in self.which:
            return tuple(name for name in NAMES if name in self.which)
        return tuple(name for name in NAMES if name != _NEEDS_MORE or self.unrounded_base)


def chosen(value: object) -> object:
    """Names of controls, also as one text with commas between; raises ValueError."""
    if isinstance(value, str) and not value.strip():
        raise ValueError(f"no control is named; these are: {', '.join(NAMES)}, or all")
    names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    for name in names if isinstance(names, list | tuple) else ():
        if name not in (*NAMES, ALL):
            raise ValueError(f"there is no control {name!r}; these are: {', '.join(NAMES)}, or all")
    return names
