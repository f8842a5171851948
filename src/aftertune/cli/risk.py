"""`risk`: which rows may do harm, before any tuning?"""

from pathlib import Path
from typing import Annotated

import typer

from aftertune.cli import options as o
from aftertune.cli.console import Terminal, printable, show_json, show_table
from aftertune.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add the command of this module to the app."""
    app.command()(risk)


def risk(
    base: o.Base = None,
    data: o.Data = None,
    template: o.Template = None,
    max_length: Annotated[
        int | None, typer.Option(help="Tokens of a row that are read.", min=2)
    ] = None,
    out: o.Out = Path("out"),
    dtype: o.Dtype = None,
    device: o.Device = None,
    trust_remote_code: o.TrustRemoteCode = False,
    config: o.ConfigFile = None,
    as_json: o.AsJson = False,
) -> None:
    """Rank rows by what they may do: new to the base, and near to many prompts.

    A list to read before tuning; in made worlds it is little better than chance.
    """
    given = dict(locals())
    from aftertune.config import build
    from aftertune.inputs import read_rows
    from aftertune.report.blocks.risk import block
    from aftertune.trace import risk_run
    from aftertune.trace.risk_config import RiskConfig

    options = {name: given[name] for name in ("base", "template", "max_length", "dtype", "device")}
    options["trust_remote_code"] = trust_remote_code or None
    source = o.from_file(config, "data", data)
    if o.from_file(config, "base", base) is None:
        raise ConfigError("no base is given; add --base MODEL.")
    if source is None:
        raise ConfigError("no rows are given; add --data ROWS.")
    asked = build(RiskConfig, options, config, beside=("data",))
    terminal = Terminal()
    rows = read_rows(source, out, terminal)
    made = risk_run.run(asked, rows, out, terminal)
    if as_json:
        show_json({"artefact": str(made.folder), "id": made.id, "counts": made.counts,
                   "about": made.about})  # fmt: skip
        return
    one = block(made.about)
    for sentence in [*one["sentences"], *one["cautions"]]:
        typer.echo(printable(sentence))
    show_table("Rows to read first", one["table"]["columns"], one["table"]["rows"])
    typer.echo(f"artefact: {made.folder}")
