"""`aftertune`: the commands, and how their errors end.

Only typer and rich are imported here; each command imports its stage when it is called, so that
`aftertune --help` answers within half a second.
"""

import errno
import os
import sys
from contextlib import ExitStack, redirect_stdout

import typer

from aftertune import __version__, parallel
from aftertune.cli import (
    audits,
    behaviour,
    controls,
    harness,
    judging,
    labs,
    recall,
    risk,
    stages,
    studies,
    sweeps,
    tracing,
)
from aftertune.cli.console import Terminal
from aftertune.errors import UserError

app = typer.Typer(
    name="aftertune",
    help="What did instruction tuning do to your model?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
audits.register(app)
controls.register(app)
stages.register(app)
sweeps.register(app)
tracing.register(app)
risk.register(app)
judging.register(app)
recall.register(app)
harness.register(app)
behaviour.register(app)
labs.register(app)
studies.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aftertune {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and stop."
    ),
    processes: int | None = typer.Option(
        None, min=1, help="Stop unless torchrun or accelerate started exactly N processes."
    ),
) -> None:
    """What did instruction tuning do to your model?"""
    if processes is not None:
        parallel.expect(processes)
    parallel.group()


def main() -> None:
    """Run the command line: exit code 2 for what the user can mend, 130 when stopped."""
    try:
        with ExitStack() as stack:
            if not parallel.is_first():  # process 0 shows the result
                nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
                stack.enter_context(redirect_stdout(nowhere))
            app()
    except UserError as error:
        Terminal().fail(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        Terminal().say("stopped; the same command continues where it was.")
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        place = f" while writing {error.filename}" if error.filename else ""
        Terminal().fail(f"the disk is full{place}; free some space and run the same command again.")
        sys.exit(2)
    except RuntimeError as error:  # safetensors and torch wrap the system's error in their own
        if "No space left on device" not in str(error):
            raise
        Terminal().fail("the disk is full; free some space and run the same command again.")
        sys.exit(2)


if __name__ == "__main__":
    main()
