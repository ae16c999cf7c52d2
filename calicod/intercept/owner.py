"""Which process reads a queue that is taken.

Law: only for a message to a person; whatever cannot be found out is left open, never an error.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

NETLINK_TABLE = Path("/proc/thread-self/net/netlink")
NETLINK_NETFILTER = 12
INODE_COLUMN = 9


class Owner(msgspec.Struct, frozen=True):
    """A process by number and name."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name})"


def find_owner(port: int) -> Owner | None:
    """The process with the netlink socket of this port id; of several that share it the oldest."""
    inode = socket_inode(port)
    if not inode:
        return None
    target = f"socket:[{inode}]"
    return next((Owner(pid, name_of(pid)) for pid in processes() if target in descriptors(pid)), None)


def socket_inode(port: int) -> str:
    """The inode of the netfilter netlink socket with this port id, or ""."""
    with suppress(OSError):
        for line in NETLINK_TABLE.read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            # the table shows the port unsigned, the queue's line too; a socket's own choice may be a negative number
            if len(words) > INODE_COLUMN and words[1] == str(NETLINK_NETFILTER) and int(words[2]) == port & 0xFFFFFFFF:
                return words[INODE_COLUMN]
    return ""


def processes() -> Iterator[int]:
    """Every process, lowest number first."""
    yield from sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def descriptors(pid: int) -> set[str]:
    """What the process has open, as /proc shows it."""
    found = set()
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.add(str(entry.readlink()))
    return found


def name_of(pid: int) -> str:
    """The name of the program, "?" when it has gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "?"
