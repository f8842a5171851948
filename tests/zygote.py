"""Runs `aftertune` command lines in forked children, so that 20 kills cost 20 forks, not 20 starts.

Reads JSON lists of arguments from standard input, one a line; forks; writes the child's pid, then,
when the child has ended, its exit status. Started by tests/test_kills.py with one thread, because a
fork must not inherit a pool of threads.
"""

import json
import os
import sys

os.environ["OMP_NUM_THREADS"] = "1"

import torch

torch.set_num_threads(1)


from aftertune.cli.main import main


def serve() -> None:
    """Answer one request after the other until standard input ends."""
    for line in sys.stdin:
        arguments = json.loads(line)
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            sys.argv = ["aftertune", *arguments]
            try:
                main()
                status = 0
            except SystemExit as stop:
                status = int(stop.code or 0)
            os._exit(status)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


serve()
