"""The stage `harness`: tasks of lm-evaluation-harness on one model; file `samples.jsonl`.

The model is loaded as everywhere here, so that adapters, the embedded model and dtypes mean the
same, and handed to lm-eval's Python API. log-probabilities are taken in float32: by default lm-eval
takes them in the model's dtype, where bfloat16 rounds -16.7 to a multiple of 1/8 and makes ties.
Each task is kept as it is finished, so a killed run goes on with the next.
"""

import importlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import metadata, util
from pathlib import Path
from typing import Any

from aftertune import artefact, parallel
from aftertune.artefact import Artefact, Draft, Input, Plan, hash_file, hash_json
from aftertune.errors import ConfigError, InputError
from aftertune.models.identity import identity
from aftertune.models.load import Loaded, load
from aftertune.models.precision import (
    choose_device,
    choose_dtype,
    environment,
    parameter_count,
    stored_dtype,
)
from aftertune.models.quiet import quiet
from aftertune.models.reference import find
from aftertune.progress import Progress
from aftertune.recall.harness_config import HarnessConfig

VERSION = 1
FILE = "samples.jsonl"


def run(config: HarnessConfig, out: Path, progress: Progress) -> Artefact:
    """Run `config.tasks` on `config.model`; `samples.jsonl` holds lm-eval's log of each item, with
    its task.

    Raises ConfigError where lm-eval is not installed, InputError for tasks that it does not know
    or cannot run.
    """
    check_installed()
    if parallel.group().size > 1:
        raise ConfigError("harness runs in one process; start it without torchrun.")
    ref = find(config.model, config.base)
    device = choose_device(config.device)
    resolved = config.resolve(
        dtype=choose_dtype(config.dtype, device, parameter_count(ref), "score", stored_dtype(ref)),
        device=str(device),
        harness=metadata.version("lm_eval"),
    )
    inputs = [identity(ref).as_input("model")]
    if config.include:
        inputs.append(_folder_input(Path(config.include)))
    plan = Plan(
        "harness", VERSION, config.given(), resolved, tuple(inputs), environment(device)
    )  # fmt: skip
    if found := artefact.find(out, plan):
        return found
    tasks = _task_manager(resolved)
    loaded = load(
        ref, dtype=resolved.dtype, device=device, progress=progress,
        trust_remote_code=config.trust_remote_code,
    )  # fmt: skip
    with artefact.draft(out, plan) as draft:
        if draft.restarted:
            progress.warn(f"an unfinished run is begun again: {draft.restarted}")
        model = _model(loaded, resolved)
        with progress.task(f"{config.name or config.model} does tasks", len(config.tasks)) as bar:
            for index, task in enumerate(config.tasks):
                kept = draft.scratch / f"{index:05}.jsonl"
                if not kept.exists():
                    logged = _evaluate(model, task, resolved, tasks)
                    artefact.write_durably(kept, partial(_write, logged))
                bar.advance(1, task)
        n = _merge(draft, len(config.tasks))
        about = {
            "model": {**loaded.identity.describe(), "facts": loaded.facts},
            "harness": resolved.harness,
        }
        return draft.finish({"done": n, "skipped": {}, "unscored": {}}, about)


def check_installed() -> None:
    """Raises ConfigError where lm-eval cannot be imported."""
    if util.find_spec("lm_eval") is None:
        raise ConfigError(
            'lm-eval is not installed; run `pip install "aftertune[lm-eval]"`, or give finished '
            "files with --samples and --tuned-samples."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Its progress bars stay, since tasks take long; its remarks on settings do not."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with quiet():
            yield
    finally:
        logger.setLevel(level)


def _model(loaded: Loaded, config: HarnessConfig) -> Any:
    """lm-eval's wrapper around a model of ours."""
    with _quiet():
        return importlib.import_module("lm_eval.models.huggingface").HFLM(
            pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=config.batch_size,
            softmax_dtype="float32", trust_remote_code=config.trust_remote_code,
        )  # fmt: skip


def _task_manager(config: HarnessConfig) -> Any:
    """What finds the tasks; lm-eval's own thousands are read only when they are needed."""
    manager = importlib.import_module("lm_eval.tasks").TaskManager
    known: set[str] = set()
    for defaults in (False, True) if config.include else (True,):
        found = manager(include_path=config.include, include_defaults=defaults)
        known = set(found.all_tasks)
        if known.issuperset(config.tasks):
            return found
    unknown = next(name for name in config.tasks if name not in known)
    raise InputError(
        f"lm-eval knows no task {unknown}; see `lm-eval ls tasks`, or give the folder of your own "
        "task files with --include."
    )


def _evaluate(
    model: Any, task: str, config: HarnessConfig, tasks: Any
) -> dict[str, list[dict[str, Any]]]:
    """task -> what lm-eval logged of each item; a group of tasks gives several."""
    try:
        with _quiet():
            result = importlib.import_module("lm_eval").simple_evaluate(
                model=model, tasks=[task], num_fewshot=config.fewshot, limit=config.limit,
                log_samples=True, bootstrap_iters=0, task_manager=tasks,
                apply_chat_template=config.chat, random_seed=config.seed,
                numpy_random_seed=config.seed, torch_random_seed=config.seed,
                fewshot_random_seed=config.seed,
            )  # fmt: skip
    except Exception as error:  # whatever a task's own code or data set says
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"lm-eval could not run the task {task} ({lines[0].strip().rstrip('.')[:200]}); mend "
            "the task or leave it out."
        ) from error
    return dict(result["samples"])


def _write(logged: dict[str, list[dict[str, Any]]], path: Path) -> None:
    with path.open("w", encoding="utf-8") as stream:
        for task, samples in logged.items():
            for sample in samples:
                line = {"task": task, **sample}
                stream.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")


def _merge(draft: Draft, n_tasks: int) -> int:
    """All tasks in one file; the number of its lines."""
    n = 0
    with (draft.folder / FILE).open("w", encoding="utf-8") as stream:
        for index in range(n_tasks):
            for line in (draft.scratch / f"{index:05}.jsonl").open(encoding="utf-8"):
                stream.write(line)
                n += 1
    return n


def _folder_input(folder: Path) -> Input:
    """Every file of the folder of tasks, by content: data may lie beside a task."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; check the path of --include.")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    content = hash_json([[path.relative_to(folder).as_posix(), hash_file(path)] for path in files])
    return Input("tasks", content, content, str(folder))
