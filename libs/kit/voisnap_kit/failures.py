"""The two kinds of failure that a process must tell apart, without importing what failed.

Unavailable      a part of the platform does not answer; trying again may help      → 503, exit status 1
SetUpFault       settings, migrations or files are wrong; trying again will not     → exit status 2
"""


class Unavailable(Exception):
    """A part of the platform does not answer; trying again may help."""


class SetUpFault(Exception):
    """Something that only a person can put right; one sentence each in `problems`."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
