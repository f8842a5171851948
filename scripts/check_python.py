"""Says in one sentence when this Python cannot run aftertune (also on Pythons too old for it)."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - it is there for the Pythons that are too old
    sys.exit(
        "aftertune needs Python 3.11 or newer, this is {}.{}: say which one to use, "
        "like `make setup PYTHON=python3.12`.".format(*sys.version_info[:2])
    )
