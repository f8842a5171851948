"""A run that is killed at a known moment."""

from aftertune.progress import Silent


class Killed(Silent):
    """Stops the run at the n-th advance of a bar."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def task(self, label, total, done=0):
        outer = self

        class Bar:
            def __enter__(self):
                return self

            def __exit__(self, *exc):
                return None

            def advance(self, amount=1, note=""):
                outer.left -= 1
                if outer.left == 0:
                    raise KeyboardInterrupt

        return Bar()
