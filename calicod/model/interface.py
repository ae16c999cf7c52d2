"""A network interface of this host, as netlink tells it, and how it is stacked upon others."""

import re

import msgspec

LONGEST_NAME = 15
"""IFNAMSIZ - 1: what `-i` takes, the `+` of a prefix included."""

_NAMEABLE = re.compile(r"[A-Za-z0-9_.@:][A-Za-z0-9_.@:+=,~#%^-]*(?<!\+)", re.ASCII)
"""Neither read as a prefix (`+` at the end) nor as an option, a negation or a quotation."""


def is_nameable(name: str) -> bool:
    """Whether a rule of the kernel can name exactly this interface.

    >>> is_nameable("eth0.100"), is_nameable("eth+"), is_nameable("$(id)")
    (True, False, False)
    """
    return len(name) <= LONGEST_NAME and _NAMEABLE.fullmatch(name) is not None


class Interface(msgspec.Struct, frozen=True):
    """Kernel index (> 0, or 0 when unknown), name (1-15 bytes) and the addresses on it (4 or 16 bytes each)."""

    index: int
    name: str
    addresses: tuple[bytes, ...] = ()
    up: bool = True


class Link(msgspec.Struct, frozen=True):
    """An interface and its neighbours here. `kind`: as `ip -d link` shows it, "" for hardware and `lo`.

    `master`: the bridge, bond or vrf that it belongs to. `below`: the interface that it sits on (vlan, macvlan) or the
    other end (veth); "" when that is in another namespace.
    """

    interface: Interface
    kind: str = ""
    master: str = ""
    below: str = ""

    @property
    def name(self) -> str:
        """The interface's name."""
        return self.interface.name
