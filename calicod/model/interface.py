"""A network interface of this host, as netlink tells it, and how it is stacked upon others."""

import msgspec


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
