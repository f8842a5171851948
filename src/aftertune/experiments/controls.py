"""The controls of audited models, one after the other; what cannot be computed says why."""

from collections.abc import Callable, Sequence
from pathlib import Path

from aftertune.artefact import Artefact
from aftertune.errors import ArtefactError, UserError
from aftertune.experiments import (
    floors,
    handoff,
    parts,
    template,
    texts,
    unrounded,
    words,
)
from aftertune.experiments.controls_config import ControlsConfig
from aftertune.experiments.findings import ControlConfig, keep
from aftertune.experiments.subject import Subject
from aftertune.progress import Progress

FAILED = 1  # version of the artefact of a control that could not be computed

# control -> tunings, times that prompts are answered, times that answers are scored: at most, of
# one model. Texts are counted for all models together.
_COSTS = {
    "template": (0, 0, 3),
    "words": (0, 0, 0),
    "hand-off": (0, 6, 6),
    "unrounded": (0, 0, 2),
    "parts": (1, 0, 3),
    "floors": (2, 3, 4),
}


def run(
    config: ControlsConfig, subjects: Sequence[Subject], out: Path, progress: Progress
) -> dict[str, list[Artefact]]:
    """control -> its artefacts, one of each tuned model (of `texts` one of all together).

    A control that cannot be computed has an artefact too, whose `absent` holds the reason.
    """
    progress.say(cost(config, subjects))
    found: dict[str, list[Artefact]] = {}
    for name in config.asked():
        if name == "texts":
            names = tuple(subject.name for subject in subjects)
            failed = ControlConfig(names=names, seed=subjects[0].seed)

            def all_texts() -> Artefact:
                return texts.run(subjects, out, progress, config.references)

            found[name] = [_kept(name, all_texts, failed, subjects, out, progress)]
            continue
        found[name] = [
            _kept(
                name,
                _one(name, config, subject, out, progress),
                ControlConfig(name=subject.name, seed=subject.seed),
                [subject],
                out,
                progress,
            )
            for subject in subjects
        ]
    return found


def cost(config: ControlsConfig, subjects: Sequence[Subject]) -> str:
    """What the controls take at most, said before they begin; what is finished is reused."""
    tunings = answerings = scorings = 0
    seconds = 0.0
    for name in config.asked():
        if name == "texts":
            n = len(subjects)
            answerings, scorings = answerings + 1, scorings + n * (n + 1)
            seconds += _seconds(subjects[0].responses)
            seconds += (n + 1) * sum(_seconds(one.shift) for one in subjects)
            continue
        per_tuning, per_answering, per_scoring = _COSTS[name]
        for subject in subjects:
            if per_tuning and subject.tune is None:
                continue
            tunings, answerings = tunings + per_tuning, answerings + per_answering
            scorings += per_scoring
            seconds += per_tuning * _seconds(subject.tune)
            seconds += per_answering * _seconds(subject.responses)
            seconds += per_scoring * _seconds(subject.shift)
    return (
        f"The controls {', '.join(config.asked())} take at most: tunings {tunings}, times that "
        f"prompts are answered {answerings}, times that answers are scored {scorings}; about "
        f"{max(1, round(seconds / 60)):,} min, by what the first ones took."
    )


def _seconds(made: Artefact | None) -> float:
    return float(made.manifest["seconds"]) if made else 0.0


def _one(
    name: str, config: ControlsConfig, subject: Subject, out: Path, progress: Progress
) -> Callable[[], Artefact]:
    if name == "unrounded":
        return lambda: unrounded.run(subject, out, progress, config.unrounded_base)
    run_it = {
        "template": template.run,
        "words": words.run,
        "hand-off": handoff.run,
        "parts": parts.run,
        "floors": floors.run,
    }[name]
    return lambda: run_it(subject, out, progress)


def _kept(
    name: str, compute: Callable[[], Artefact], failed: ControlConfig,
    subjects: Sequence[Subject], out: Path, progress: Progress,
) -> Artefact:  # fmt: skip
    """The control's artefact, or one that says why there is none."""
    try:
        return compute()
    except ArtefactError:  # of the folder, not of the control
        raise
    except UserError as error:
        whose = " and ".join(subject.name for subject in subjects)
        progress.warn(f"the control {name} of {whose} is absent: {error}")
        config = failed.resolve(absent={name: str(error)})
        inputs = {f"shift of {subject.name}": subject.shift for subject in subjects}
        return keep(name, FAILED, config, inputs, out)
