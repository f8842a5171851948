"""`study`: people rate answers, and what their ratings show."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aftertune.cli import options as o
from aftertune.cli.console import Terminal, printable, show_json, show_table
from aftertune.errors import ConfigError

if TYPE_CHECKING:
    from aftertune.artefact import Artefact
    from aftertune.study.create import Created

Folder = Annotated[Path, typer.Argument(help="The study's folder.")]
TraceFolder = Annotated[Path | None, typer.Option("--trace", help="A trace-… artefact.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands of this module to the app."""
    study = typer.Typer(help="People rate answers, blind; set up in minutes.", no_args_is_help=True)
    study.command("create")(create)
    study.command("serve")(serve)
    study.command("export")(export)
    study.command("analyze")(analyze)
    app.add_typer(study, name="study")


def create(
    folder: Annotated[Path, typer.Argument(help="A new folder for the study.")],
    responses: o.Responses = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="pairs (which of two is better), spans (mark what is wrong and say where it comes "
            "from), outcomes (what became of two answers), aspects (1 to 5)."
        ),
    ] = None,
    annotators: Annotated[
        str | None, typer.Option(help="How many, or names with commas between (2).")
    ] = None,
    aspects: Annotated[
        str | None,
        typer.Option(
            help="Of pairs and aspects, with commas between: helpfulness, clarity, factuality, "
            "depth, engagement (these five by default), or your own."
        ),
    ] = None,
    overlap: Annotated[int | None, typer.Option(help="Annotators of each item (2).", min=1)] = None,
    items_per_batch: Annotated[
        int | None, typer.Option("--batch-size", help="Items of a batch (50).", min=1)
    ] = None,
    pilot: Annotated[
        int | None, typer.Option(help="Items that everybody rates first (10).", min=0)
    ] = None,
    feedback: Annotated[
        str | None,
        typer.Option(help="What the pilot shows after an item, as JSONL: prompt, answer, why."),
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(help="Items that each annotator gets a second time (5).", min=0)
    ] = None,
    adjudicators: Annotated[
        str | None, typer.Option(help="Who settles what annotators differ on: how many, or names.")
    ] = None,
    organisers: Annotated[
        str | None, typer.Option(help="Who sees progress: how many, or names.")
    ] = None,
    guidelines: Annotated[
        str | None, typer.Option(help="Your own guidelines, a Markdown file.")
    ] = None,
    trace: TraceFolder = None,
    data: Annotated[
        str | None,
        typer.Option(help="Rows that annotators can search (spans); the trace's rows by default."),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Where annotators will reach the study.")
    ] = None,
    out: o.Out = Path("out"),
    sample: Annotated[
        int | None, typer.Option(help="Only N prompts, drawn at random.", min=1)
    ] = None,
    seed: o.Seed = None,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Make a study from answers: what each annotator rates, in which order, with a link each."""
    given = dict(locals())
    from aftertune.cli import judging
    from aftertune.config import build
    from aftertune.study import create as making
    from aftertune.study.config import StudyConfig

    given["batch_size"] = given.pop("items_per_batch")
    beside = ("responses", "trace", "data", "address")
    for name in (*beside, "folder", "out", "config", "as_json"):
        given.pop(name)
    asked = build(StudyConfig, given, config, beside=beside)
    if given["aspects"] is not None and asked.kind not in ("pairs", "aspects"):
        raise ConfigError(f"{asked.kind} asks about no aspects; leave --aspects out.")
    terminal = Terminal()
    answers = judging.answers_of(o.from_file(config, "responses", responses), out, terminal)
    traced = o.from_file(config, "trace", trace)
    found, rows = _traced(traced, o.from_file(config, "data", data), out, terminal)
    served_at = o.from_file(config, "address", address) or making.ADDRESS
    made = making.run(asked, answers, folder, served_at, found, rows)
    _show_created(made, as_json)


def serve(
    folder: Folder,
    host: Annotated[
        str, typer.Option(help="The address to listen at; this machine alone by default.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen at.", min=1, max=65535)] = 8765,
) -> None:
    """Serve a study to its annotators and organisers, until it is stopped with Ctrl-C."""
    from aftertune.study import server
    from aftertune.study.collected import FILE
    from aftertune.study.create import LINKS

    terminal = Terminal()

    def started(address: str) -> None:
        _check_links(folder / LINKS, address, terminal)
        terminal.say(f"{folder} is served at {address}; everybody's link is in "
                     f"{folder / LINKS}. Ctrl-C stops it, and nothing is lost.")  # fmt: skip

    server.serve(folder / FILE, terminal, host, port, started)


def export(
    folder: Folder,
    to: Annotated[
        Path | None, typer.Option(help="Where the files go; FOLDER/export by default.")
    ] = None,
    label_studio: Annotated[
        bool, typer.Option("--label-studio", help="Also its items, as tasks for Label Studio.")
    ] = False,
    withdrawn: Annotated[
        bool, typer.Option("--withdrawn", help="Also ratings that were taken back or changed.")
    ] = False,
    as_json: o.AsJson = False,
) -> None:
    """Write ratings, spans and causes as Parquet, JSONL and CSV, with the models named."""
    from aftertune.study import collected
    from aftertune.study import export as exporting

    study = collected.read(folder)
    place = to or folder / "export"
    counts: dict[str, int] = exporting.run(study, place, withdrawn)
    if label_studio:
        counts["label_studio_tasks"] = exporting.for_label_studio(study, place)
    if as_json:
        show_json({"folder": str(place), "counts": counts})
        return
    for name, count in counts.items():
        typer.echo(f"{name.replace('_', ' ')}: {count:,}")
    typer.echo(f"written to: {place}")


def analyze(
    study: Annotated[
        str | None, typer.Argument(metavar="[FOLDER]", help="The study's folder.")
    ] = None,
    ratings: Annotated[
        str | None,
        typer.Option(
            help="Ratings from elsewhere, in place of a study: item, rater, value as CSV or JSONL."
        ),
    ] = None,
    aspect: Annotated[
        str | None, typer.Option(help="Of --ratings: only those with this `aspect`.")
    ] = None,
    judge: Annotated[
        Path | None, typer.Option(help="A judge-… artefact: does it agree with the people?")
    ] = None,
    trace: TraceFolder = None,
    out: o.Out = Path("out"),
    draws: Annotated[int | None, typer.Option(help="Of the bootstrap (2000).", min=100)] = None,
    level: Annotated[float | None, typer.Option(help="Of the intervals (0.95).")] = None,
    seed: o.Seed = None,
    title: Annotated[str | None, typer.Option(help="Of the page.")] = None,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Say what people's ratings show, how far people agree, and what is still undecided."""
    from aftertune.artefact import open_artefact
    from aftertune.config import build
    from aftertune.report import study_run
    from aftertune.report.config import ReportConfig
    from aftertune.study import analyze as stage
    from aftertune.study.config import AnalyzeConfig

    judge, trace = (o.from_file(config, name, value) for name, value in
                    (("judge", judge), ("trace", trace)))  # fmt: skip
    options = {
        "study": study, "ratings": ratings, "aspect": aspect, "draws": draws, "level": level,
        "seed": seed, "judge": judge and str(judge), "trace": trace and str(trace),
    }  # fmt: skip
    asked = build(AnalyzeConfig, options, config, beside=("title",))
    made = stage.run(
        asked, out, Terminal(), open_artefact(Path(judge)) if judge else None,
        open_artefact(Path(trace)) if trace else None,
    )  # fmt: skip
    page = study_run.run(build(ReportConfig, {"title": title}), made, out)
    _show_analysis(made, page, as_json)


def _check_links(path: Path, address: str, terminal: Terminal) -> None:
    """Links lead to where `create` thought that the study would be served."""
    try:
        links = path.read_text(encoding="utf-8")
    except OSError:  # taken away, as one may
        return
    if address not in links:
        terminal.warn(
            f"the links in {path} lead elsewhere than to {address}; see that they arrive here, or "
            "change their beginning."
        )


def _traced(
    trace: Any, data: str | None, out: Path, terminal: Terminal
) -> "tuple[Artefact | None, Artefact | None]":
    """The trace, and the rows that can be searched."""
    from aftertune.artefact import open_artefact
    from aftertune.inputs import input_of, read_rows

    rows = read_rows(data, out, terminal) if data else None
    if trace is None:
        return None, rows

    found = open_artefact(Path(trace))
    if found.stage != "trace":
        raise ConfigError(f"--trace {trace}: it is a {found.stage} artefact; give a trace-… "
                          "artefact.")  # fmt: skip
    return found, rows or input_of(found, "rows")


def _show_created(made: "Created", as_json: bool) -> None:
    if as_json:
        show_json({
            "folder": str(made.folder), "items": len(made.design.items),
            "ratings": len(made.design.assignments), "notes": made.notes,
            "links": [{"role": r, "name": n, "link": link} for r, n, link in made.links],
        })  # fmt: skip
        return
    for note in made.notes:
        typer.echo(note)
    for role, name, link in made.links:
        who = name if name.startswith(role) else f"{name} ({role})"
        typer.echo(printable(f"{who}: {link}"))
    typer.echo(f"The links are kept in {made.folder / 'links.txt'}; send each person their own.")
    typer.echo(f"Next: aftertune study serve {made.folder}")


def _show_analysis(made: "Artefact", page: "Artefact", as_json: bool) -> None:
    from aftertune.report.run import PAGE

    shown = page.folder / PAGE
    if as_json:
        show_json({"artefact": str(made.folder), "page": str(shown), "about": made.about,
                   "methods": str(page.folder / "methods.md")})  # fmt: skip
        return
    from aftertune.report.blocks import study as of_answers
    from aftertune.report.blocks import study_agreement as of_people

    for block in (of_answers.block(made.about), of_people.block(made.about)):
        if block is None:
            continue
        for line in [block["question"], *block["sentences"], *block["cautions"]]:
            typer.echo(printable(line))
        if block["table"]:
            show_table("", block["table"]["columns"], block["table"]["rows"])
    typer.echo(f"artefact: {made.folder}")
    typer.echo(f"for a paper: {page.folder / 'methods.md'}")
    typer.echo(f"report: {shown}")
