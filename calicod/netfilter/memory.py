"""An installer without a kernel, for tests and for runs that steer nothing.

Law: it behaves as the real ones do, so that what holds here holds there (contract test).
"""

from collections.abc import Mapping

from calicod.model.steering import Steering
from calicod.netfilter.installer import Installed
from calicod.netfilter.plan import DROPS


class MemoryInstaller:
    """Keeps the Steering. `installed` is every Steering it was given; `drops` and `missing` are set by the test."""

    name = "memory"
    notices: tuple[str, ...] = ()
    logs = True

    def __init__(self) -> None:
        self.installed: list[Steering] = []
        self.steering: Steering | None = None
        self.drops = dict.fromkeys(DROPS, 0)
        self.missing: tuple[str, ...] = ()

    def install(self, steering: Steering) -> None:
        """Takes the place of the former; mends what was missing."""
        self.installed.append(steering)
        self.steering = steering
        self.missing = ()

    def inspect(self) -> Installed:
        """The last one installed."""
        if self.steering is None:
            return Installed(None, intact=False, missing=("nothing is installed",))
        return Installed(self.steering.generation, not self.missing, self.missing, dict(self.drops), {})

    def script(self, steering: Steering) -> Mapping[str, str]:
        """The Steering in words."""
        return {self.name: f"{steering}\n"}

    def remove(self) -> None:
        """Forgets it."""
        self.steering = None
        self.missing = ()
        self.drops = dict.fromkeys(DROPS, 0)
