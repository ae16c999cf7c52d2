"""What a check found: one line with, where something should change, the mend.

Law: `fail` is only what would keep calicod from working here or people from reaching this host; what costs speed,
coverage or evidence is `warn`.
"""

from collections.abc import Callable

import msgspec

from calicod.cli.doctor.facts import Facts
from calicod.eventlog.readable import printable

OK, WARN, FAIL = "ok", "warn", "fail"


class Finding(msgspec.Struct, frozen=True):
    """`mend`: what to do about it, "" when it is ok; `check`: the name in the table, which puts it there."""

    state: str
    message: str
    mend: str = ""
    check: str = ""

    def __str__(self) -> str:
        mend = f" -> {self.mend}" if self.mend else ""
        return printable(f"{self.state:<4}  {self.check}: {self.message}{mend}")


Check = Callable[[Facts], tuple[Finding, ...]]


def ok(message: str) -> Finding:
    """Nothing to do."""
    return Finding(OK, message)


def warn(message: str, mend: str) -> Finding:
    """It works, with this drawback."""
    return Finding(WARN, message, mend)


def fail(message: str, mend: str) -> Finding:
    """It does not work, or locks somebody out."""
    return Finding(FAIL, message, mend)
