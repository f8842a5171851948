"""The stage `judge`: table `verdicts`, and `answers.jsonl` with what the judge wrote.

Everything is planned before the first question. Every answer is stored as it comes; a run that
was killed asks only what it has no answer to, and so does another run under the same OUT that
asks the same judge the same. An answer that cannot be read is asked for once more. What then
still has no score stands in the table without one, with the reason.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from aftertune import artefact, parallel, schema
from aftertune.artefact import Artefact, Draft, Input, Plan, hash_file, hash_json
from aftertune.data.places import in_order, placed
from aftertune.errors import ArtefactError, ConfigError, InputError, InternalError
from aftertune.judge import cost, journal, recorded
from aftertune.judge.aspects import RUBRICS, rubrics_hash
from aftertune.judge.calls import Call, Responses, calls, items
from aftertune.judge.config import JudgeConfig
from aftertune.judge.endpoint import Endpoint, EndpointError, in_the_open
from aftertune.judge.journal import Answer, Heard, Journal
from aftertune.judge.prompt import beginning
from aftertune.judge.verdicts import Record, records, to_ask_again, why_unscored
from aftertune.progress import Progress, Task

if TYPE_CHECKING:  # it needs torch, and an endpoint does not
    from aftertune.judge.local import LocalJudge

VERSION = 2
PART_ROWS = 10_000
_READ = ["response_id", "prompt_id", "row_index", "sample", "messages", "response", "tags"]


@dataclass(frozen=True)
class Prepared:
    """A run before its first question: what is asked of whom, and the artefact's plan."""

    config: JudgeConfig  # resolved
    plan: Plan
    responses: Responses
    calls: list[Call]
    local: "LocalJudge | None"


def prepare(
    config: JudgeConfig, responses: Mapping[str, Artefact], local: "LocalJudge | None" = None
) -> Prepared:
    """Plan the run on the answers of named models; raises UserError for what cannot be judged.

    local: `judge.local.prepare(config)`, where `config.local` judges.
    """
    if (local is not None) != (config.kind == "local"):
        raise InternalError("a local judge is prepared where one is asked for, and only there")
    if parallel.group().size > 1:
        raise ConfigError("judge runs in one process; start it without torchrun.")
    read = read_responses(responses, config.limit)
    resolved = (local.resolved if local else config).resolve(name=_name(config))
    inputs = [one.as_input(f"responses {name}") for name, one in responses.items()]
    inputs += local.inputs if local else ()
    if config.verdicts:
        inputs.append(file_input("verdicts", config.verdicts))
    else:
        rubrics = rubrics_hash(config.aspects)
        inputs.append(Input("rubrics", rubrics, rubrics, f"version {RUBRICS}"))
    # an endpoint's answers do not depend on this machine, and are not thrown away for its sake
    environment = local.environment if local else {"judge": config.kind}
    plan = Plan("judge", VERSION, config.given(), resolved, tuple(inputs), environment)
    asked: list[Call] = []
    if config.kind != "recorded":
        chosen = items(read, config.compare)
        if not chosen:
            raise InputError(
                "there is nothing to judge: no answers, or no two models that share a prompt."
            )
        asked = calls(chosen, config.aspects, config.repeats, _judge_key(resolved, plan))
    return Prepared(resolved, plan, read, asked, local)


def estimate(prepared: Prepared, out: Path) -> cost.Estimate:
    """What is left to ask, in calls, tokens and money."""
    config = prepared.config
    known = _known(prepared, out)
    if (out / prepared.plan.id / artefact.MANIFEST).exists():
        known = {call.key: Answer("") for call in prepared.calls}
    left = [call for call in prepared.calls if call.key not in known]
    return cost.estimate(
        left, len(prepared.calls) - len(left), len(config.aspects), config.max_tokens,
        config.price_in, config.price_out,
    )  # fmt: skip


def run(
    prepared: Prepared, out: Path, progress: Progress, key: SecretStr | None = None
) -> Artefact:
    """Ask the judge what is not answered yet; table `verdicts`.

    key: of an endpoint; it is sent and never stored. Raises UserError, also where the judge
    answers nothing at all; what was answered until then is kept.
    """
    if found := artefact.find(out, prepared.plan):
        return found
    with artefact.draft(out, prepared.plan) as draft:
        if draft.restarted:
            progress.warn(f"an unfinished run is begun again: {draft.restarted}")
        if prepared.config.kind == "recorded":
            return _take(draft, prepared)
        if key and in_the_open(prepared.config.endpoint):
            progress.warn("the key and the answers travel to the judge without encryption (http)")
        with Journal(draft.scratch / journal.FILE) as kept:
            for name, answer in _known(prepared, out).items():
                if name not in kept.answers:
                    kept.add(name, answer)
            return _judge(draft, prepared, kept, progress, key)


def read_responses(responses: Mapping[str, Artefact], limit: int | None) -> Responses:
    """The records of each model's answers, to the first `limit` prompts of the source."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, one in responses.items():
        if "responses" not in one.tables:
            raise ArtefactError(f"{one.folder} holds no answers; give a respond-… artefact.")
        found[name] = one.table("responses").select(_READ).to_pylist()
    by_model = {name: placed(each) for name, each in found.items()}
    prompts = dict.fromkeys(place[:2] for place in in_order(by_model))
    chosen = set(list(prompts)[:limit])
    return {
        name: [record for place, record in by_place.items() if place[:2] in chosen]
        for name, by_place in by_model.items()
    }


def file_input(name: str, path: str) -> Input:
    """A file as an input of a stage, named by its content; raises InputError without one."""
    if not Path(path).is_file():
        raise InputError(f"there is no file {path}; check the path of the {name}.")
    sha256 = hash_file(Path(path))
    return Input(name, sha256, sha256, path)


def _name(config: JudgeConfig) -> str | None:
    if config.kind == "recorded":
        return config.name  # the file says who judged
    return config.name or config.model or Path(str(config.local).split(":")[-1]).name


def _judge_key(config: JudgeConfig, plan: Plan) -> str:
    """Names the judge and every setting that its answer depends on."""
    settings = config.numbers()
    for of_the_run in ("aspects", "compare", "repeats", "limit", "name"):
        settings.pop(of_the_run)
    judge = [[one.name, one.id] for one in plan.inputs if one.name in ("judge", "template")]
    begun = [beginning(config.aspects)] if config.kind == "local" else []
    return hash_json([settings, judge, *begun])


def _known(prepared: Prepared, out: Path) -> dict[str, Answer]:
    """Answers of runs under `out` to calls of this one, and to what was asked after them.

    A local judge's answers depend on their batch in 16 bits, so only its own run knows them.
    """
    folders = [out / prepared.plan.id]
    if prepared.config.kind == "endpoint":
        folders += sorted(out.glob("judge-*"))
    found: dict[str, Answer] = {}
    for folder in folders:
        for path in (folder / "work" / journal.FILE, folder / journal.FILE):
            found = {**journal.stored(path)[0], **found}
    known = {call.key: found[call.key] for call in prepared.calls if call.key in found}
    again = to_ask_again(prepared.calls, known, prepared.config.aspects).values()
    return known | {call.key: found[call.key] for call in again if call.key in found}


def _judge(
    draft: Draft, prepared: Prepared, kept: Journal, progress: Progress, key: SecretStr | None
) -> Artefact:
    """Ask all calls, then once more those that cannot be read; write what came of it."""
    config, unanswered = prepared.config, {}
    requests: Counter[str] = Counter()
    judge = Endpoint(config, key) if config.kind == "endpoint" else prepared.local
    assert judge is not None
    first: Sequence[Call] = prepared.calls
    for label in ("asking", "asking once more"):
        done = sum(call.key in kept.answers for call in first)
        if not first:
            break
        with progress.task(f"{label} {config.name}", len(first), done) as task:

            def heard(call: Call, said: Heard, task: Task = task) -> None:
                requests["sent"] += said.requests
                if isinstance(said, Answer):
                    kept.add(call.key, said)
                else:
                    unanswered[call.key] = said.reason
                task.advance()

            if isinstance(judge, Endpoint):
                judge.ask([call for call in first if call.key not in kept.answers], heard)
            else:
                judge.ask(first, set(kept.answers), heard, progress)
        first = list(to_ask_again(prepared.calls, kept.answers, config.aspects).values())
    if not kept.answers:
        reason = Counter(unanswered.values()).most_common(1)[0][0]
        raise EndpointError(f"{config.name} answered none of {len(prepared.calls):,} calls: "
                            f"{reason}; mend that and run the same command again.")  # fmt: skip
    found = records(prepared.calls, kept.answers, unanswered, config.aspects, config.name or "")
    asked = [*prepared.calls, *first]
    keys = [call.key for call in asked if call.key in kept.answers]
    journal.write_answers(draft.folder / journal.FILE, kept.answers, keys)
    spent = cost.spent([kept.answers[name] for name in keys], config.price_in, config.price_out)
    if unanswered:
        progress.warn(f"{len(unanswered):,} of {len(asked):,} calls have no answer, and no score")
    return _finish(draft, prepared, found, {}, {
        "calls": len(prepared.calls), "asked_once_more": len(first), "without_answer":
        len(unanswered), "requests": requests["sent"], "spent": spent,
    })  # fmt: skip


def _take(draft: Draft, prepared: Prepared) -> Artefact:
    """Verdicts that exist, as the table."""
    config = prepared.config
    assert config.verdicts is not None
    taken = recorded.read(config.verdicts, prepared.responses, config.aspects)
    found = [{**one, "judge": config.name or one["judge"]} for one in taken.records]
    return _finish(draft, prepared, found, taken.aside, {})


def _finish(
    draft: Draft, prepared: Prepared, found: Sequence[Record], aside: Mapping[str, int],
    counts: Mapping[str, Any],
) -> Artefact:  # fmt: skip
    for index, start in enumerate(range(0, len(found), PART_ROWS)):
        part = [dict(one) for one in found[start : start + PART_ROWS]]
        draft.write(index, {"verdicts": schema.from_rows("verdicts", part)})
    config = prepared.config
    about = {
        "judge": {
            "name": found[0]["judge"] if found else config.name,
            "kind": config.kind,
            "place": config.endpoint or config.local or config.verdicts,
            **(prepared.local.describe() if prepared.local else {}),
        },
        "rubrics": None
        if config.verdicts
        else {"version": RUBRICS, "sha256": rubrics_hash(config.aspects)},
        "models": list(prepared.responses),
    }
    scored = sum(one["score"] is not None for one in found)
    every = {"done": scored, "skipped": dict(aside), "unscored": why_unscored(found), **counts}
    return draft.finish(every, about)
