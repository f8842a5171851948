"""What each control says on the page: a title, sentences, a picture and a table (pure)."""

from collections.abc import Callable, Mapping
from typing import Any

from aftertune.report.blocks import (
    behaviour,
    floors,
    handoff,
    harness,
    judge,
    judge_belief,
    lab_score,
    lab_study,
    parts,
    recall,
    recall_classes,
    risk,
    study,
    study_agreement,
    sweep,
    template,
    texts,
    trace,
    unrounded,
    verify,
    words,
)

# control -> the block of its artefact's `about`, in the order of the page
BUILDERS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "template": template.block,
    "texts": texts.block,
    "hand-off": handoff.block,
    "unrounded": unrounded.block,
    "parts": parts.block,
    "floors": floors.block,
    "words": words.block,
    "sweep": sweep.block,
    "trace": trace.block,
    "verify": verify.block,
    "crossed-halves": verify.crossed_block,
    "risk": risk.block,
    "recall": recall.block,
    "judge": judge.block,
    "harness": harness.block,
    "behaviour": behaviour.block,
    "study": study.block,
    "lab-score": lab_score.block,
    "lab-study": lab_study.block,
}
# a second question that a control answers, where it was asked
FURTHER: dict[str, Callable[[Mapping[str, Any]], dict[str, Any] | None]] = {
    "sweep": sweep.size_block,
    "lab-study": lab_study.equal_block,
    "recall": recall_classes.block,
    "judge": judge_belief.block,
    "study": study_agreement.block,
}
