"""What several processes that make one artefact must have in common: the question, the
environment, the folder."""

from pathlib import Path

from aftertune import parallel
from aftertune.artefact.plan import Plan, difference
from aftertune.parallel import ProcessesError


def same_everywhere(plan: Plan) -> None:
    """What bf16 values depend on has to be alike in all processes, as in a run that continues.

    All processes meet here. Raises ProcessesError.
    """
    asked = parallel.gather("looking for an artefact", [plan.id, dict(plan.environment)])
    for rank, (name, environment) in enumerate(asked):
        if name != asked[0][0]:
            raise ProcessesError(
                f"process {rank} asks for {name} and process 0 for {asked[0][0]}; start all of "
                "them with the same command on the same files."
            )
        if environment != asked[0][1]:
            what, at_0, here = difference(asked[0][1], environment)
            raise ProcessesError(
                f"{what} is {here} for process {rank} and {at_0} for process 0; start all of them "
                "alike."
            )


def seen_here(folder: Path, name: str, rank: int) -> None:
    """`folder / name`, which process `rank` wrote, is there for this one; raises ProcessesError."""
    if (folder / name).exists():
        return
    raise ProcessesError(
        f"{folder / name}, which process {rank} wrote, is not there for process "
        f"{parallel.group().rank}; give --out a folder that all machines share."
    )
