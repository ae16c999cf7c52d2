"""The kernel's own account of its queues.

Law: read, never guessed; a line that this version does not understand is left out, the others are told.
"""

from pathlib import Path

import msgspec

TABLE = Path("/proc/thread-self/net/netfilter/nfnetlink_queue")
"""Of the network namespace of the thread that reads it; exists once the kernel's part is loaded."""
COLUMNS = 8


class QueueCounters(msgspec.Struct, frozen=True, kw_only=True):
    """One queue. `owner`: netlink port id of its reader. `waiting`: packets without a verdict, read or not.

    `queue_dropped`: no room in the queue; `user_dropped`: no room in the reader's socket. `id_sequence`: the id of the
    last packet that was queued.
    """

    queue: int
    owner: int
    waiting: int
    copy_range: int
    queue_dropped: int
    user_dropped: int
    id_sequence: int


def available() -> bool:
    """Whether the kernel's part of NFQUEUE is loaded."""
    return TABLE.exists()


def read_counters() -> dict[int, QueueCounters]:
    """Every queue of this network namespace by its number; none when the kernel's part is not there."""
    try:
        text = TABLE.read_text(encoding="ascii")
    except FileNotFoundError:
        return {}
    return parse_counters(text)


def parse_counters(text: str) -> dict[int, QueueCounters]:
    r"""The table as /proc shows it.

    >>> parse_counters(" 5200  31337     3 2  1024     1     2       40  1\n")[5200].waiting
    3
    """
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < COLUMNS or not all(word.lstrip("-").isdigit() for word in words):
            continue
        queue, owner, waiting, _, copy_range, queue_dropped, user_dropped, id_sequence = map(int, words[:COLUMNS])
        found[queue] = QueueCounters(
            queue=queue,
            owner=owner,
            waiting=waiting,
            copy_range=copy_range,
            queue_dropped=queue_dropped,
            user_dropped=user_dropped,
            id_sequence=id_sequence,
        )
    return found
