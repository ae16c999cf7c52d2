"""The control socket, 0660 root:calicod in the run directory, and who gets a connection to it.

Law: root, and the daemon's own user, always do. All others together have so many at a time that neither files nor
memory run out for the daemon, whatever they do with them; one too many is closed at once.
"""

import asyncio
import grp
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from calicod.daemon.instance import GROUP, unusable

SOCKET_NAME = "calicod.sock"
SOCKET_MODE = 0o660
BACKLOG = 100
PEER = struct.Struct("=iII")
"""`struct ucred`: process, user, group."""
GUESTS = 32


def listen(path: Path) -> tuple[socket.socket, tuple[str, ...]]:
    """The socket, who connects waits to be served; a notice when it is for root alone. Raises CalicodError."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        notices = give_to_group(path)
        listener.listen(BACKLOG)  # INVARIANT: nobody can connect before, whatever mode the socket was made with
    except OSError as error:
        listener.close()
        raise unusable(path.parent, f"{path.name}: {error}") from error
    return listener, notices


def give_to_group(path: Path) -> tuple[str, ...]:
    """Opens the socket to the group `calicod`, or says why not."""
    try:
        os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
    except KeyError:
        return (f"no group `{GROUP}`: only root may use the control socket",)
    except PermissionError:  # CAP_CHOWN is not among what a unit need have
        return (f"the control socket could not be given to the group `{GROUP}`: only root may use it",)
    path.chmod(SOCKET_MODE)
    return ()


class Guests:
    """Connections of others than root that are open."""

    def __init__(self, limit: int = GUESTS) -> None:
        self._limit = limit
        self._open: list[socket.socket] = []

    def admit(self, guest: socket.socket) -> bool:
        """Whether there is room for one more. What asyncio still writes to is open, though it counts as closing."""
        self._open = [each for each in self._open if each.fileno() >= 0]
        if len(self._open) >= self._limit:
            return False
        self._open.append(guest)
        return True


class Door(asyncio.Protocol):
    """The first protocol of each connection: who is let in goes on with what `inside` makes."""

    def __init__(self, guests: Guests, inside: Callable[[], asyncio.BaseProtocol]) -> None:
        self._guests = guests
        self._inside = inside

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Decides, before anything is read."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  it is of a stream socket
        peer = transport.get_extra_info("socket")
        if not is_owner(peer) and not self._guests.admit(peer):
            transport.abort()
            return
        protocol = self._inside()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


def is_owner(peer: socket.socket | None) -> bool:
    """Whether root, or the daemon's own user, connected it."""
    if peer is None:
        return False
    _, user, _ = PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
    return user in {0, os.geteuid()}
