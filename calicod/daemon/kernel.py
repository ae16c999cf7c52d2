"""What the supervisor watches in the kernel each second: queues, our rules, drops by rule.

Law: what the kernel lost is told once, as the difference to what was told before; a counter that fell was reset by
another program and is told as that.
"""

from collections.abc import Mapping

import msgspec

from calicod.daemon.state import QueueState
from calicod.intercept.counters import read_counters


class QueueLoss(msgspec.Struct, frozen=True):
    """Packets that one queue lost since the last look; `full`: no room, `socket`: the reader's buffer was full."""

    queue: int
    full: int
    socket: int


def our_queues(base: int, workers: int) -> dict[int, QueueState]:
    """The counters of the two queues of each worker, as far as they are bound."""
    ours = range(base, base + 2 * workers)
    return {
        number: QueueState(queue=number, waiting=c.waiting, queue_dropped=c.queue_dropped, user_dropped=c.user_dropped)
        for number, c in read_counters().items()
        if number in ours
    }


def queue_losses(before: Mapping[int, QueueState], now: Mapping[int, QueueState]) -> tuple[QueueLoss, ...]:
    """The losses between two looks; a queue that is new, or whose counters fell, counts from zero."""
    losses = []
    for number, state in now.items():
        old = before.get(number)
        fell = old is None or state.queue_dropped < old.queue_dropped or state.user_dropped < old.user_dropped
        full = state.queue_dropped - (0 if fell or old is None else old.queue_dropped)
        socket = state.user_dropped - (0 if fell or old is None else old.user_dropped)
        if full or socket:
            losses.append(QueueLoss(number, full, socket))
    return tuple(losses)


def new_drops(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """Packets that kernel rules dropped since the last look, by reason."""
    grown = {}
    for reason, total in now.items():
        old = before.get(reason, 0)
        count = total - old if total >= old else total
        if count:
            grown[reason] = count
    return grown
