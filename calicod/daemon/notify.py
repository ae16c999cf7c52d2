"""What systemd is told (sd_notify(3)), without its library.

Law: telling never fails and never waits; without systemd it does nothing. Any process of the unit may tell
(`NotifyAccess=all`): the supervisor does, who alone knows whether the daemon enforces.
"""

import os
import socket
from contextlib import suppress

SOCKET = "NOTIFY_SOCKET"
WATCHDOG = "WATCHDOG_USEC"
READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"


def notify(*lines: str) -> bool:
    """Tells `READY=1`, `STATUS=text` and the like; False when nobody listens."""
    address = os.environ.get(SOCKET, "")
    if not address.startswith(("/", "@")):
        return False
    target = "\0" + address[1:] if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto("\n".join(lines).encode(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL, target)
        return True
    return False


def watchdog_seconds() -> float | None:
    """How often `WATCHDOG=1` must be told: twice in each `WatchdogSec`. None: nobody watches."""
    value = os.environ.get(WATCHDOG, "")
    if not (value.isascii() and value.isdigit()) or not int(value):
        return None
    return int(value) / 2_000_000
