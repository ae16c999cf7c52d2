"""The interfaces of this host with their addresses, and word that they changed.

Law: the word says only *that* something changed: whoever hears it reads everything again, so that nothing which was
missed (an overrun of the socket) can stay missed.
"""

import socket
from concurrent.futures import ThreadPoolExecutor

from calicod.model.interface import Interface, Link
from calicod.netfilter.netlink import NETLINK_ROUTE, Netlink

GROUP_LINK, GROUP_IPV4_ADDRESS, GROUP_IPV6_ADDRESS = 1, 5, 9
IFF_UP = 0x1
BUFFER = 4 << 20
FAMILIES = (socket.AF_INET, socket.AF_INET6)


def interfaces() -> tuple[Interface, ...]:
    """Every interface by index. An address is its own side's (IFA_LOCAL) on a link between two points."""
    return tuple(link.interface for link in links())


def links() -> tuple[Link, ...]:
    """The same, with what each belongs to or sits on.

    In a thread of its own: pyroute2 runs an event loop, which a thread that runs one already cannot do.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_read).result()


def _read() -> tuple[Link, ...]:
    # Importing it takes 100 ms: only who opens the socket pays.
    from pyroute2 import IPRoute

    with IPRoute() as route:
        found = {link["index"]: link for link in route.get_links()}
        addresses: dict[int, list[bytes]] = {}
        for address in route.get_addr():
            text = address.get_attr("IFA_LOCAL") or address.get_attr("IFA_ADDRESS")
            if address["family"] in FAMILIES and text:
                addresses.setdefault(address["index"], []).append(socket.inet_pton(address["family"], text))
    names = {index: readable(link.get_attr("IFLA_IFNAME")) for index, link in found.items()}
    return tuple(
        Link(
            Interface(index, names[index], tuple(sorted(addresses.get(index, ()))), bool(link["flags"] & IFF_UP)),
            kind=link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or "",
            master=names.get(link.get_attr("IFLA_MASTER"), ""),
            below="" if link.get_attr("IFLA_LINK_NETNSID") is not None else names.get(link.get_attr("IFLA_LINK"), ""),
        )
        for index, link in sorted(found.items())
    )


def readable(name: str | bytes) -> str:
    """A name that is not UTF-8, which pyroute2 gives as bytes, with backslashes: a prefix of it stays one."""
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name


class Watcher:
    """Becomes readable when a link or an address changes. Does not block; `fileno` is for an event loop."""

    def __init__(self) -> None:
        groups = (GROUP_LINK, GROUP_IPV4_ADDRESS, GROUP_IPV6_ADDRESS)
        self._netlink = Netlink(NETLINK_ROUTE, groups=groups, buffer=BUFFER)

    @property
    def overruns(self) -> int:
        """How often the kernel had no room for a message. `changed` answers True after one, too."""
        return self._netlink.overruns

    def fileno(self) -> int:
        """For an event loop's `add_reader`."""
        return self._netlink.fileno()

    def changed(self) -> bool:
        """Takes what has come; whether there was anything, or may have been."""
        before = self._netlink.overruns
        came = False
        while self._netlink.receive() is not None:
            came = True
        return came or self._netlink.overruns > before

    def close(self) -> None:
        """Ends it."""
        self._netlink.close()
