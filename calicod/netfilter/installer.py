"""The plug of the kernel side: whoever can bring a Steering into force, look at it and take it away.

Law: `install` leaves either everything of a family in force or what was there before; `remove` takes what is ours and
nothing else, and may be called at any time.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from calicod.model.steering import FlowKind, Steering


class Installed(msgspec.Struct, frozen=True):
    """What is in the kernel now.

    `generation`: read from the kernel's own rules, None when there are none of ours. `missing`: what is not as it was
    installed, in words; `intact`: nothing is. `drops`: packets that kernel rules dropped, by reason; the counters begin
    again at 0 when another program removed those rules. `denied`: packets by what `Steering.denied` refused, since it
    was installed; None: nothing of ours was found.
    """

    generation: int | None
    intact: bool
    missing: tuple[str, ...] = ()
    drops: Mapping[str, int] = {}
    denied: Mapping[FlowKind, int] | None = None


class Installer(Protocol):
    """May be called from any thread."""

    @property
    def name(self) -> str:
        """What the setting `steering` calls it."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What an operator should know: a family that is not judged because this host does not have it."""

    @property
    def logs(self) -> bool:
        """Whether the kernel takes rules that log (`Steering.log_group`)."""

    def install(self, steering: Steering) -> None:
        """Brings this Steering into force in place of any other. Raises CalicodError."""

    def inspect(self) -> Installed:
        """Looks at what the kernel has. Raises CalicodError."""

    def script(self, steering: Steering) -> Mapping[str, str]:
        """What brings this Steering into force where nothing of ours is: the name of a program -> its input."""

    def remove(self) -> None:
        """Removes every rule and chain of ours; nothing happens when there is none. Raises CalicodError."""
