"""Port numbers and ranges."""

import msgspec


class PortRange(msgspec.Struct, frozen=True, order=True):
    """Ports first..last, both included."""

    first: int
    last: int

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}:{self.last}"
