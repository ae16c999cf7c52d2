"""A network interface of this host, as netlink tells it."""

import msgspec


class Interface(msgspec.Struct, frozen=True):
    """Kernel index (> 0, or 0 when unknown), name (1-15 bytes) and the addresses on it (4 or 16 bytes each)."""

    index: int
    name: str
    addresses: tuple[bytes, ...] = ()
    up: bool = True
