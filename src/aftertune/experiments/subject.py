"""What a control is about: one tuned model against its base, on the tuned model's own answers."""

from dataclasses import dataclass
from typing import Any

from aftertune.artefact import Artefact
from aftertune.config import Dtype


@dataclass(frozen=True)
class Subject:
    """A tuned model that was audited, and what its controls may use.

    responses: the tuned model's answers. shift: the tuned model against `base` on them.
    rows: what it was tuned on, as far as known; control_rows: rows that no model saw.
    tune: the `tune-...` artefact of a model that was tuned here.
    """

    name: str
    base: str
    tuned: str
    responses: Artefact
    shift: Artefact
    prompts: Artefact | None = None
    rows: Artefact | None = None
    control_rows: Artefact | None = None
    tune: Artefact | None = None
    seed: int = 0
    batch_size: int = 16
    device: str = "auto"
    trust_remote_code: bool = False

    @property
    def dtype(self) -> Dtype:
        """What the shift was scored in; its controls are scored in the same."""
        found: Dtype = self.shift.about["dtype"]
        return found

    def shift_options(self) -> dict[str, Any]:
        """Options of ShiftConfig by which a control's shift is taken as the subject's was.

        No noise floor is measured again, and nothing is scored again in another dtype.
        """
        return {
            "tuned_base": self.base,
            "dtype": self.dtype,
            "device": self.device,
            "seed": self.seed,
            "noise_responses": 0,
            "rescore": False,
            "trust_remote_code": self.trust_remote_code,
        }
