"""`control-judge`: what verdicts say of models, and how far the judge can be believed.

Apart from the stage `judge`, so that ratings that come later do not ask a paid judge again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aftertune import artefact
from aftertune.artefact import Artefact, Plan
from aftertune.judge import people
from aftertune.judge.calls import Responses
from aftertune.judge.config import AssessConfig
from aftertune.judge.run import file_input, read_responses
from aftertune.judge.summary import summarise
from aftertune.progress import Progress

VERSION = 1


def run(
    config: AssessConfig, verdicts: Artefact, responses: Mapping[str, Artefact], out: Path,
    progress: Progress,
) -> Artefact:  # fmt: skip
    """Summarise the artefact `verdicts` (of the stage `judge`) on these models' answers.

    With `people`, their ratings correct the means; with `for_people`, the file
    `for_people.jsonl` holds that many answers of each model, drawn at random, to be rated.
    Raises InputError where no rating belongs to these answers.
    """
    inputs = [verdicts.as_input("verdicts")]
    inputs += [one.as_input(f"responses {name}") for name, one in responses.items()]
    if config.people:
        inputs.append(file_input("ratings", config.people))
    plan = Plan("control-judge", VERSION, config.given(), config, tuple(inputs))
    if found := artefact.find(out, plan):
        return found
    aspects = tuple(verdicts.config["aspects"])
    read = read_responses(responses, verdicts.config["limit"])
    rated = people.read(config.people, read, aspects) if config.people else None
    table = verdicts.table("verdicts").to_pylist()
    found_here = summarise(table, read, aspects, rated.ratings if rated else None, config.seed)
    with artefact.draft(out, plan) as draft:
        if config.for_people:
            drawn = people.draw(read, config.for_people, config.seed)
            people.write_form(draft.folder / people.FILE, read, drawn, aspects, config.seed)
            progress.say(f"{len(drawn):,} answers to rate: {draft.folder / people.FILE}")
        counts = {"done": len(table), "skipped": rated.aside if rated else {}, "unscored": {}}
        return draft.finish(counts, _about(verdicts, read, found_here))


def _about(verdicts: Artefact, responses: Responses, found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "control": "judge",
        "names": list(responses),
        "judge": verdicts.about["judge"],
        "rubrics": verdicts.about["rubrics"],
        "settings": {name: verdicts.config[name] for name in ("repeats", "temperature")},
        "found": dict(found),
        "absent": {},
    }
