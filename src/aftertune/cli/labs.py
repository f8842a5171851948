"""`lab`: made worlds where the truth is known, and detectors measured against it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aftertune.cli import options as o
from aftertune.cli.console import Terminal, printable, show_json, show_table
from aftertune.errors import ConfigError

if TYPE_CHECKING:
    from aftertune.artefact import Artefact

Seed = Annotated[
    int | None, typer.Option(help="Of the world: its facts, text, rows, prompts and base.")
]
Size = Annotated[str | None, typer.Option(help="small: minutes on two cores; standard: for a GPU.")]
BaseFolder = Annotated[
    Path | None,
    typer.Option("--base", help="A lab-base-… artefact, in place of --seed and --size."),
]
Method = Annotated[str | None, typer.Option(help="Of the tunings: full (the default) or lora.")]
Epochs = Annotated[int | None, typer.Option(help="Of each tuning.", min=1)]
Rate = Annotated[float | None, typer.Option(help="Learning rate of the tunings.")]
Plan = Annotated[bool, typer.Option("--plan", help="Say what would run, and stop.")]

_OF_BASE = ("seed", "size")
_OF_TUNINGS = ("method", "epochs", "learning_rate")


def register(app: typer.Typer) -> None:
    """Add the group of commands of this module to the app."""
    lab = typer.Typer(help="Made worlds where the truth is known.", no_args_is_help=True)
    lab.command("base")(base)
    lab.command("labels")(labels)
    lab.command("score")(score)
    lab.command("study")(study)
    app.add_typer(lab, name="lab")


def base(
    out: o.Out = Path("out"),
    seed: Seed = None,
    size: Size = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the world's text.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of the base's training.")] = None,
    device: o.Device = None,
    plan: Plan = False,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Make a world and train its base model from scratch; how much of it does the base recall?"""
    from aftertune.config import build
    from aftertune.lab.config import LabBaseConfig

    given = {"seed": seed, "size": size, "epochs": epochs, "learning_rate": learning_rate,
             "device": device}  # fmt: skip
    checked = build(LabBaseConfig, given, config)
    if plan:
        from aftertune.lab.plan import base_sentences

        _say(base_sentences(checked))
        return
    from aftertune.lab import base as stage

    made = stage.run(checked, out, Terminal())
    if not as_json:
        _show_recall(made.about)
    _end(made, as_json)


def labels(
    base: BaseFolder = None,
    out: o.Out = Path("out"),
    seed: Seed = None,
    size: Size = None,
    method: Method = None,
    epochs: Epochs = None,
    learning_rate: Rate = None,
    device: o.Device = None,
    plan: Plan = False,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Find which rows caused what a tuned model says, by tuning again without them.

    The world's base is made where it is not there yet.
    """
    given = dict(locals())
    for name in ("out", "plan", "config", "as_json"):
        given.pop(name)
    if plan:
        _say(_planned(given, config, out))
        return
    made = _labels(given, config, out)
    if not as_json:
        _show_counts(made.about)
    _end(made, as_json)


def score(
    detector: Annotated[
        list[str] | None,
        typer.Argument(
            help="always, random, bm25, longest_common_span, row_loss, entropy, base_rank, "
            "embedding; MODULE:FUNCTION or FILE.py:FUNCTION of yours, beside which all included "
            "ones run; none: all that are included."
        ),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(
            help="A detector of yours: cases as JSON Lines in, findings out; {rows} becomes the "
            "path of the rows."
        ),
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds for --command per world.")] = None,
    labels: Annotated[
        list[Path] | None,
        typer.Option(help="A lab-labels-… artefact, repeatable; else made as by `lab labels`."),
    ] = None,
    base: BaseFolder = None,
    out: o.Out = Path("out"),
    seed: Seed = None,
    size: Size = None,
    method: Method = None,
    epochs: Epochs = None,
    learning_rate: Rate = None,
    device: o.Device = None,
    plan: Plan = False,
    as_json: o.AsJson = False,
) -> None:
    """Measure detectors of borrowings against the labels of made worlds, and their ceiling."""
    given = {"base": base, "seed": seed, "size": size, "method": method, "epochs": epochs,
             "learning_rate": learning_rate, "device": device}  # fmt: skip
    from aftertune.config import build
    from aftertune.lab.score_config import LabScoreConfig

    asked = {"detectors": detector or None, "command": command, "timeout_s": timeout,
             "device": device}  # fmt: skip
    checked = build(LabScoreConfig, asked)
    if plan:
        _say(["No tuning: the labels are given."] if labels else _planned(given, None, out))
        return
    from aftertune.artefact import open_artefact
    from aftertune.lab import scoring

    scoring.detectors(checked)  # a wrong name is said before anything is tuned
    found = [open_artefact(one) for one in labels or []] or [_labels(given, None, out)]
    made = scoring.run(checked, found, out, Terminal())
    if not as_json:
        from aftertune.report.blocks.lab_score import block

        one = block(made.about)
        show_table(one["question"], one["table"]["columns"], one["table"]["rows"])
        _say([*one["sentences"], *one["cautions"]])
    _end(made, as_json)


def study(
    base: Annotated[
        list[Path] | None,
        typer.Option(help="A lab-base-… artefact, repeatable, in place of --seeds and --size."),
    ] = None,
    labels: Annotated[
        list[Path] | None,
        typer.Option(
            help="A lab-labels-… artefact of one of the worlds, repeatable; without them the share "
            "of wrong statements that rows caused is absent."
        ),
    ] = None,
    out: o.Out = Path("out"),
    seeds: Annotated[
        str | None, typer.Option(help="Of the worlds, with commas between; 0,1,2,3,4 if not said.")
    ] = None,
    size: Size = None,
    claims: Annotated[
        Path | None, typer.Option(help="What is claimed and how it is judged; else the paper's.")
    ] = None,
    device: o.Device = None,
    plan: Plan = False,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Test the paper's claims over made worlds: both methods, rates, sizes, kinds of rows."""
    from aftertune.artefact import open_artefact
    from aftertune.config import build
    from aftertune.lab.study_config import LabStudyConfig, base_configs

    if base and (seeds is not None or size is not None):
        raise ConfigError("--base is a finished base of its world; leave --seeds and --size out.")
    found = [open_artefact(one) for one in base or []]
    wanted = [_of_base(one)["seed"] for one in found] or _numbers(seeds)
    given = {"seeds": wanted, "size": size, "claims": claims, "device": device}
    checked = build(LabStudyConfig, given, config)
    from aftertune.lab import study_plan

    if plan:
        asked, _ = study_plan.read_claims(checked)
        _say(study_plan.study_sentences(checked, asked, out))
        return
    from aftertune.lab import base as base_stage
    from aftertune.lab import study as stage
    from aftertune.report.blocks.lab_study import block

    study_plan.read_claims(checked)  # a wrong file is said before a base is trained
    bases = found or [base_stage.run(one, out, Terminal()) for one in base_configs(checked)]
    made = stage.run(checked, bases, [open_artefact(one) for one in labels or []], out, Terminal())
    if not as_json:
        one = block(made.about)
        show_table(one["question"], one["table"]["columns"], one["table"]["rows"])
        _say([*one["sentences"], *one["cautions"]])
    _end(made, as_json)


def _numbers(seeds: str | None) -> list[int] | None:
    if seeds is None:
        return None
    try:
        return [int(seed) for seed in seeds.split(",")]
    except ValueError as error:
        raise ConfigError(
            f"--seeds is {seeds!r}; write whole numbers with commas, as 0,1,2."
        ) from error


def _of_base(made: "Artefact") -> dict[str, Any]:
    """The settings of a finished base; raises ArtefactError."""
    from aftertune.errors import ArtefactError

    if made.stage != "lab-base":
        raise ArtefactError(f"{made.folder} is no lab-base-… artefact; give one as --base.")
    return dict(made.config)


def _labels(given: dict[str, Any], config: Path | None, out: Path) -> "Artefact":
    """The labels that the options ask for, and the base before them."""
    from aftertune.artefact import open_artefact
    from aftertune.lab import base as base_stage
    from aftertune.lab import labels as stage

    base_config, labels_config = _configs(given, config)
    if given["base"] is None:
        made = base_stage.run(base_config, out, Terminal())
    else:
        made = open_artefact(given["base"])
        _of_base(made)
    return stage.run(labels_config, made, out, Terminal())


def _planned(given: dict[str, Any], config: Path | None, out: Path) -> list[str]:
    from aftertune.artefact import open_artefact
    from aftertune.lab.config import LabBaseConfig
    from aftertune.lab.plan import base_sentences, labels_sentences

    base_config, labels_config = _configs(given, config)
    if given["base"] is not None:
        base_config = LabBaseConfig.model_validate(open_artefact(given["base"]).config)
    said = labels_sentences(base_config, labels_config, out)
    return [*said, *([] if given["base"] else base_sentences(base_config))]


def _configs(given: dict[str, Any], config: Path | None) -> tuple[Any, Any]:
    from aftertune.config import build
    from aftertune.lab.config import LabBaseConfig, LabLabelsConfig

    if given["base"] is not None and any(given[name] is not None for name in _OF_BASE):
        raise ConfigError(
            "--base is a finished base of its own world; leave --seed and --size out."
        )
    of_base = {name: o.from_file(config, name, given[name]) for name in _OF_BASE}
    tunings = {name: given[name] for name in (*_OF_TUNINGS, "device")}
    return (
        build(LabBaseConfig, {**of_base, "device": given["device"]}),
        build(LabLabelsConfig, tunings, config, beside=_OF_BASE),
    )


def _show_recall(about: dict[str, Any]) -> None:
    from aftertune.report.numbers import percent, with_interval

    rows = [
        [str(one["exposures"]), "yes" if one["asked"] else "no", with_interval(one, percent)]
        for one in about["curve"]
    ]
    title = "Facts recalled, by how often the text states them"
    show_table(title, ["stated", "asked for in the text", "answered right [95%]"], rows)
    if not about["accepted"]:
        _say(["This base recalls too little to be tuned on; train it for more --epochs."])


def _show_counts(about: dict[str, Any]) -> None:
    from aftertune.report.numbers import percent, with_interval

    kinds = ("caused", "not caused", "undecided", "no row")
    rows = [
        [status, *(str(about["counts"][status][kind]) for kind in kinds)]
        for status in ("wrong", "right")
    ]
    show_table("Statements, by what masking the rows with their value shows", ["", *kinds], rows)
    said = [
        "Caused by one row alone: "
        f"{about['levels']['one row']}, by several together: {about['levels']['several rows']}.",
    ]
    if about["reliability"]:
        again = about["reliability"]["caused"]["same_label"]
        said.append(
            f"Of those labelled caused, {with_interval(again, percent)} are so on fresh seeds too."
        )
    if about["swap"]:
        said.append(
            f"Wrong statements took the tag of their own rows in "
            f"{with_interval(about['swap']['own_tag'], percent)}, a control's in "
            f"{with_interval(about['swap']['false_tag'], percent)}."
        )
    _say(said)


def _say(sentences: list[str]) -> None:
    for sentence in sentences:
        typer.echo(printable(sentence))


def _end(made: "Artefact", as_json: bool) -> None:
    if as_json:
        show_json({"artefact": str(made.folder), "id": made.id, "about": made.about})
    else:
        typer.echo(f"artefact: {made.folder}")
