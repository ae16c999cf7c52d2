"""Where packets come up to be judged, and go on from: the plug.

Law: the interceptor gives the verdict that the deciding function *returns*: exactly one for each packet, a drop when it
raises. An accepted packet runs through the kernel's chain again with the ACCEPT mark (SPARE: and with
the bit that tells so); bits that are not ours are kept.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from calicod.model.hook import Hook
from calicod.model.verdict import Verdict

Decide = Callable[[bytes, int, int, int, int], Verdict]
"""Payload (its first bytes), packet mark, netfilter's hook number, incoming and outgoing interface index (0: none)."""

HOOKS: Mapping[int, Hook] = MappingProxyType(
    {0: Hook.PREROUTING, 1: Hook.INPUT, 2: Hook.FORWARD, 3: Hook.OUTPUT, 4: Hook.OUTPUT}
)
"""Netfilter's hook numbers. In POSTROUTING is judged what OUTPUT could not place."""


class Interceptor(Protocol):
    """One queue of packets."""

    def fileno(self) -> int:
        """A descriptor that is readable while packets wait."""

    def read(self, decide: Decide, budget: int) -> int:
        """Judges what waits, `budget` packets at most; fewer than that: nothing waits any more.

        What `decide` raises is raised, after its packet was dropped.
        """

    def release(self) -> int:
        """Drops what a dead reader had read and not answered; returns the id of the last one (0: none)."""

    def close(self) -> None:
        """Gives the queue back; what waits is dropped."""
