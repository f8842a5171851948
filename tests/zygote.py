"""Runs `aftertune` command lines in forked children, so that 20 kills cost 20 forks, not 20 starts.

Reads JSON from standard input, one request a line: a list of arguments, and after how many seconds
of processor time the command is to be killed, or null. Forks; when the child has ended, writes its
exit status and the processor time that it took. Started by tests/test_kills.py with one thread,
because a fork must not inherit a pool of threads.
"""

import json
import os
import signal
import sys

os.environ["OMP_NUM_THREADS"] = "1"

import torch

torch.set_num_threads(1)


from aftertune.cli.main import main


def serve() -> None:
    """Answer one request after the other until standard input ends."""
    for line in sys.stdin:
        arguments, kill_after = json.loads(line)
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            if kill_after is not None:
                # nobody handles this signal, so the kernel ends the process, as with SIGKILL
                signal.setitimer(signal.ITIMER_PROF, kill_after)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            sys.argv = ["aftertune", *arguments]
            try:
                main()
                status = 0
            except SystemExit as stop:
                status = int(stop.code or 0)
            os._exit(status)
        _, status, used = os.wait4(pid, 0)
        seconds = used.ru_utime + used.ru_stime
        print(json.dumps([os.waitstatus_to_exitcode(status), seconds]), flush=True)


serve()
