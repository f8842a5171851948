"""Proof on request: was a span borrowed from the rows that it is accused of borrowing from?

By masking these rows (`verify_mask.py`), by exchanging what they state (`verify_swap.py`), or by
asking without what prompt and row have in common (`verify_rephrase.py`). `plan` says what it costs
before anything is tuned; `proofs.py` asks for it of a trace.
"""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from aftertune.artefact import Artefact
from aftertune.controls.proof import confirmed
from aftertune.experiments import tunings as again
from aftertune.experiments import verify_mask, verify_rephrase, verify_swap
from aftertune.experiments.accused import cases
from aftertune.experiments.cost import Cost
from aftertune.experiments.findings import keep
from aftertune.experiments.tunings import Tunings
from aftertune.experiments.verify_config import VerifyConfig
from aftertune.experiments.verify_rephrase import Rephrase
from aftertune.models.load import load_tokenizer
from aftertune.models.reference import find
from aftertune.progress import Progress

VERSION = 4  # swap: the value of a span is what other rows state otherwise


def run(
    config: VerifyConfig, responses: Artefact, out: Path, progress: Progress,
    rows: Artefact | None = None, trace: Artefact | None = None,
) -> Artefact:  # fmt: skip
    """The artefact `control-verify`: in `about["found"]`, every span with what became of it.

    responses: in which the spans were found. rows: what the model was tuned on, where they are not
    where the tuning had them. trace: in which the spans were found, where one was. Raises
    InputError for a checkpoint that was tuned elsewhere (masking and swapping have nothing to tune
    again), and for spans that cannot be scored.
    """
    config = config.named()
    prepared = _Prepared(config, responses, out, progress, rows)
    inputs = {"responses": responses, **prepared.inputs} | ({"trace": trace} if trace else {})

    def compute() -> tuple[dict[str, Any], dict[str, Any]]:
        found = prepared.found()
        return found, {"done": len(found["cases"]), "skipped": {}, "unscored": {}}

    return keep("verify", VERSION, config, inputs, out, compute)


def plan(
    config: VerifyConfig, responses: Artefact, out: Path, progress: Progress,
    rows: Artefact | None = None,
) -> list[Cost]:  # fmt: skip
    """What `run` would tune, and what it would ask an endpoint; nothing is tuned or asked."""
    return _Prepared(config.named(), responses, out, progress, rows).plan()


class _Prepared:
    """Everything that is known before anything is tuned."""

    def __init__(
        self, config: VerifyConfig, responses: Artefact, out: Path, progress: Progress,
        rows: Artefact | None,
    ) -> None:  # fmt: skip
        self.config, self.responses, self.out, self.progress = config, responses, out, progress
        self.tunings = self._tunings(rows)
        self.rows = self.tunings.rows if self.tunings else rows
        trust = config.trust_remote_code
        tokenizer = load_tokenizer(find(config.tuned, config.base), trust_remote_code=trust)
        self.cases = cases(config.accused, responses, tokenizer, config.most_rows, self.tunings)

    def _tunings(self, rows: Artefact | None) -> Tunings | None:
        config = self.config
        if config.way == "rephrase":
            return None
        return again.of(
            config.tuned, config.base, rows, self.out, self.progress, config.name, config.device,
            config.trust_remote_code,
        )  # fmt: skip

    @property
    def inputs(self) -> dict[str, Artefact]:
        own = {"tune": self.tunings.tune} if self.tunings else {"answers": self.again.answers}
        return own | ({"rows": self.rows} if self.rows else {})

    def plan(self) -> list[Cost]:
        if self.tunings is None:
            return [verify_rephrase.plan(self.config, self.cases, self.texts, self.out)]
        if self.config.way == "mask":
            return [verify_mask.plan(self.config, self.cases, self.tunings)]
        swap = verify_swap.plan(self.config, self.cases, self.tunings)
        if not self.config.confirm:
            return [swap]
        masked = verify_mask.plan(self.config, self.cases, self.tunings)
        what = f"where swap proposes every span, {masked.what}"
        return [swap, replace(masked, proof="confirm", what=what)]

    def found(self) -> dict[str, Any]:
        if self.tunings is None:
            return verify_rephrase.run(self.config, self.cases, self.again)
        if self.config.way == "mask":
            return verify_mask.run(self.config, self.cases, self.tunings)
        found = verify_swap.run(self.config, self.cases, self.tunings)
        return found | ({"confirmed": self._confirmed(found)} if self.config.confirm else {})

    def _confirmed(self, found: dict[str, Any]) -> dict[str, Any]:
        """What masking, with seeds that swap did not use, says of the spans that it proposes."""
        assert self.tunings is not None
        both = zip(self.cases, found["cases"], strict=True)
        proposed = [case for case, one in both if one["proposed"]]
        masked: dict[str, Any] = {"cases": []}
        if proposed:
            masked = verify_mask.run(self.config, proposed, self.tunings, used=self.config.seeds)
        outcomes = [one["outcome"] for one in masked["cases"]]
        return {**masked, "agreement": confirmed(outcomes)}

    @cached_property
    def again(self) -> Rephrase:
        """The rephrased prompts and their answers, which name what was asked."""
        return verify_rephrase.asked_again(
            self.config, self.cases, self.responses, self.texts, self.out, self.progress
        )

    @cached_property
    def texts(self) -> dict[int, str]:
        """Texts of rows by row_index, as far as rows are known."""
        table = self.rows.table("rows").to_pylist() if self.rows else []
        return {
            row["row_index"]: " ".join(one["content"] or "" for one in row["messages"])
            for row in table
        }
