"""`harness`: benchmarks of lm-evaluation-harness on base and tuned, paired item by item."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aftertune.cli import options as o
from aftertune.cli.console import Terminal, printable, show_json, show_table
from aftertune.errors import ConfigError

if TYPE_CHECKING:
    from aftertune.artefact import Artefact

_BESIDE = ("base", "tuned", "samples", "tuned_samples")
SHOWN = 5  # items of a model and outcome
_PAIRS = ("metric", "filter", "margin", "seed")


def register(app: typer.Typer) -> None:
    """Add the command of this module to the app."""
    app.command()(harness)


def harness(
    base: o.Base = None,
    tuned: o.Tuned = None,
    tasks: Annotated[
        str | None, typer.Option(help="Tasks or groups of lm-eval, with commas between.")
    ] = None,
    include: Annotated[
        str | None, typer.Option(help="A folder of your own task files (YAML).")
    ] = None,
    samples: Annotated[
        Path | None,
        typer.Option(help="The base's samples_….jsonl of lm-eval, or a folder of them."),
    ] = None,
    tuned_samples: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE, repeatable: those of a tuned model.")
    ] = None,
    fewshot: Annotated[
        int | None, typer.Option(help="Examples before each item; else as the task says.", min=0)
    ] = None,
    limit: o.Limit = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="Prompts through the chat template.")
    ] = False,
    metric: Annotated[
        str | None,
        typer.Option(help="What is right; else acc, exact_match, or the first that is 0 or 1."),
    ] = None,
    filter: Annotated[
        str | None, typer.Option(help="Of tasks that read an answer in several ways.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Share of items that is as good as none; 0.05.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Sequences of a batch.", min=1)] = None,
    out: o.Out = Path("out"),
    seed: o.Seed = None,
    device: o.Device = None,
    dtype: o.Dtype = None,
    trust_remote_code: o.TrustRemoteCode = False,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Run benchmarks of lm-eval on base and tuned, and say what was lost and gained.

    Needs `pip install "aftertune[lm-eval]"`; without it, give the sample files of finished runs:
    --samples BASE.jsonl --tuned-samples NAME=FILE.
    """
    given = dict(locals())
    from aftertune.config import build
    from aftertune.recall import harness_pairs
    from aftertune.recall.harness_config import HarnessPairsConfig

    for beside in (*_BESIDE, "out", "config", "as_json"):
        given.pop(beside)
    given["trust_remote_code"], given["chat"] = trust_remote_code or None, chat or None
    pairing = build(HarnessPairsConfig, {n: o.from_file(config, n, given[n]) for n in _PAIRS})
    for one in ("metric", "filter", "margin"):
        given.pop(one)
    terminal = Terminal()
    found = o.from_file(config, "samples", samples)
    files = o.named(o.from_file(config, "tuned_samples", tuned_samples), "--tuned-samples")
    models = o.models_from(tuned, config)
    if found or files:
        if models or not (found and files):
            raise ConfigError(
                "give --samples of the base with --tuned-samples NAME=FILE, and no --tuned; or "
                "--base and --tuned with --tasks."
            )
        places = {name: Path(place) for name, place in files.items()}
        of_base = Path(found)
    else:
        of_base, places = _run_all(given, models, o.from_file(config, "base", base), config, out,
                                   terminal)  # fmt: skip
    made = harness_pairs.run(pairing, of_base, places, out, terminal)
    _show(made, as_json)


def _run_all(
    given: dict[str, Any], models: dict[str, str], base: str | None, file: Path | None, out: Path,
    terminal: Terminal,
) -> tuple[Path, dict[str, Path]]:  # fmt: skip
    """The tasks on base and every tuned model: the folders of their artefacts."""
    if not base or not models:
        raise ConfigError("give --base MODEL and --tuned NAME=MODEL, or files with --samples.")
    from aftertune.config import build
    from aftertune.recall import harness_run
    from aftertune.recall.harness_config import HarnessConfig

    harness_run.check_installed()
    beside = (*_BESIDE, "metric", "filter", "margin")
    base_config = build(HarnessConfig, {**given, "model": base, "name": "base"}, file, beside)
    folder = harness_run.run(base_config, out, terminal).folder
    places = {}
    for name, model in models.items():
        asked = build(
            HarnessConfig, {**given, "model": model, "base": base, "name": name}, file, beside
        )
        places[name] = harness_run.run(asked, out, terminal).folder
    return folder, places


def _show(made: "Artefact", as_json: bool) -> None:
    if as_json:
        show_json({"artefact": str(made.folder), "counts": made.counts, "about": made.about})
        return
    from aftertune.report.blocks import harness as of_models

    shown = of_models.block(made.about)
    for line in [shown["question"], *shown["sentences"], *shown["cautions"]]:
        typer.echo(printable(line))
    show_table("", shown["table"]["columns"], shown["table"]["rows"])
    for outcome in ("lost", "gained"):
        rows = [
            [name, *(_short(one[part]) for part in ("question", "expected", "base", "tuned"))]
            for name in made.about["names"]
            for one in made.about["found"]["models"][name]["examples"][outcome][:SHOWN]
        ]
        if rows:
            show_table(f"Some that were {outcome}", ["model", "question", "right", "base said",
                       "tuned said"], rows, left=True)  # fmt: skip
    typer.echo(f"artefact: {made.folder}")


def _short(text: str) -> str:
    """The end of a text, where a question stands, for one cell."""
    words = " ".join(text.split())
    return words if len(words) <= 160 else f"… {words[-158:]}"
