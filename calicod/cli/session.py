"""The SSH connection by which whoever runs this command is here.

Law: a look at the environment and at /proc, never a change. sshd says it itself (SSH_CONNECTION); where the environment
was cleaned on the way, as by sudo, the processes above this one are asked, and the sockets of an sshd among them.
"""

import os
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from calicod.daemon.proposal import Session

VARIABLE = "SSH_CONNECTION"
WORDS = 4
SERVERS = ("sshd", "dropbear")
"""What the process that holds the socket is called; OpenSSH has `sshd-session` too."""
SOCKET = re.compile(r"socket:\[(\d+)\]")
ESTABLISHED = "01"
INODE = 9
"""The field of /proc/net/tcp."""
MAX_ABOVE = 64


def find(environment: Mapping[str, str], proc: Path = Path("/proc")) -> Session | None:
    """The session, or None: this command was not started by way of SSH, or that cannot be seen."""
    said = environment.get(VARIABLE)
    if said is not None:
        return parse(said)
    for process in above(os.getpid(), proc):
        found = _of_environment(process) or _of_sockets(process)
        if found is not None:
            return found
    return None


def parse(text: str) -> Session | None:
    """What sshd says: client address and port, server address and port; None when it is not that.

    >>> str(parse("192.0.2.9 50000 192.0.2.1 22"))
    '192.0.2.9:50000 -> 192.0.2.1:22'
    """
    words = text.split()
    if len(words) != WORDS:
        return None
    try:
        return Session(_plain(words[0]), int(words[1]), _plain(words[2]), int(words[3]))
    except ValueError:
        return None


def _plain(address: str) -> str:
    """An address without its zone; an IPv4 one also where an IPv6 socket has it."""
    found = ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


def above(pid: int, proc: Path) -> Iterator[Path]:
    """The processes above this one, the nearest first."""
    for _ in range(MAX_ABOVE):
        try:
            pid = int((proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return
        if pid <= 1:
            return
        yield proc / str(pid)


def _of_environment(process: Path) -> Session | None:
    with suppress(OSError):
        for entry in (process / "environ").read_bytes().split(b"\0"):
            name, _, value = entry.partition(b"=")
            if name == VARIABLE.encode():
                return parse(value.decode("ascii", "replace"))
    return None


def _of_sockets(process: Path) -> Session | None:
    """The connection of an SSH server's process."""
    try:
        if not (process / "comm").read_text().startswith(SERVERS):
            return None
        links = [os.readlink(entry) for entry in (process / "fd").iterdir()]  # noqa: PTH115  what it says, not a path
        inodes = {match[1] for link in links if (match := SOCKET.fullmatch(link))}
        tables = [(process / "net" / name).read_text() for name in ("tcp", "tcp6") if (process / "net" / name).exists()]
    except OSError:
        return None
    return _connected((line for table in tables for line in table.splitlines()[1:]), inodes)


def _connected(lines: Iterable[str], inodes: set[str]) -> Session | None:
    for line in lines:
        words = line.split()
        if len(words) > INODE and words[3] == ESTABLISHED and words[INODE] in inodes:
            (here, port), (there, their_port) = (_end(word) for word in words[1:3])
            return Session(there, their_port, here, port)
    return None


def _end(word: str) -> tuple[str, int]:
    """`0100007F:0016`: words of the address as this machine has them in memory.

    >>> _end("0100007F:0016")
    ('127.0.0.1', 22)
    """
    address, _, port = word.partition(":")
    numbers = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
    packed = struct.pack(f"={len(numbers)}I", *numbers)
    return _plain(str(ip_address(packed))), int(port, 16)
