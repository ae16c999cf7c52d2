"""What `apply` leaves on the disk: a set in place of the policy files, and the set before it.

Law: one file for each, replaced in one step and settled on the disk before anything is done that rests on it. A record
that cannot be read is told and put aside: the policy files are in force then. Deadlines are of the clock that no one
can set (CLOCK_BOOTTIME), and hold for the boot that they were set in.
"""

from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import structlog

from calicod.daemon.instance import TRIAL_FILE
from calicod.datastore.files import Text
from calicod.datastore.fingerprints import Fingerprint
from calicod.datastore.lastgood import replace_durably, settle
from calicod.model.event import PolicyConfirmed, PolicyRolledBack

log = structlog.get_logger()

FORMER_FILE = "former"

Kept = TypeVar("Kept", bound=msgspec.Struct)


class Former(msgspec.Struct, frozen=True):
    """A set of policy files that another one replaced, with the last good versions that belonged to it."""

    texts: tuple[Text, ...]
    last_good: bytes = b""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A set that is in force in place of the policy files, by the full paths that it will have among them.

    `trial`: until `deadline`, unless it is confirmed. `install`: it is on its way into the policy files; `former` is
    what it found there. `written`: the policy files when it came into force.

    `untold`: what it came to, until the sinks have that; whoever finds the record tells it. A trial that came to
    something is not in force any more.
    """

    texts: tuple[Text, ...]
    phase: Literal["trial", "install"]
    began: str
    boot: str = ""
    deadline: float = 0.0
    written: Fingerprint = ()
    last_good: bytes = b""
    former: Former = Former(())
    untold: PolicyConfirmed | PolicyRolledBack | None = None

    def seconds_left(self, boot: str, now: float) -> float:
        """Until the deadline; 0 when it has passed, or when the machine was started anew."""
        return max(0.0, self.deadline - now) if boot == self.boot else 0.0


class Shelf:
    """The two records of one state directory. Writing raises OSError."""

    def __init__(self, directory: Path) -> None:
        self._held = directory / TRIAL_FILE
        self._former = directory / FORMER_FILE

    def held(self) -> Held | None:
        """The set that is in force in place of the policy files."""
        return _recalled(self._held, Held)

    def former(self) -> Former | None:
        """What the last installed set replaced."""
        return _recalled(self._former, Former)

    def hold(self, held: Held) -> None:
        """From now on, whatever happens to this process."""
        replace_durably(self._held, msgspec.msgpack.encode(held))

    def keep(self, former: Former) -> None:
        """What to roll back to."""
        replace_durably(self._former, msgspec.msgpack.encode(former))

    def release(self) -> None:
        """The policy files count again."""
        self._held.unlink(missing_ok=True)
        settle(self._held.parent)


def _recalled(path: Path, kind: type[Kept]) -> Kept | None:
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, msgspec.MsgspecError) as error:  # text that is no UTF-8 is a ValueError
        log.error("trial.damaged", file=str(path), error=str(error))  # noqa: TRY400  the place in our code is of no use
        with suppress(OSError):
            path.rename(path.with_name(f"{path.name}.damaged"))
        return None
