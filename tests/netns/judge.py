"""The smallest worker: reads a pair of queues in a namespace and gives each packet the verdict that the test chose.

Law: exactly one verdict for each packet; an allowed one is repeated with the ACCEPT mark, as a real worker does it.
"""

import select
import threading
from collections.abc import Callable

import msgspec
from netfilterqueue import NetfilterQueue

from calicod.model.marks import MarkLayout, layout
from tests.netns.world import inside

NF_NAMES = {1: "input", 2: "forward", 3: "output"}


class Seen(msgspec.Struct, frozen=True):
    """A packet that came up."""

    queue: int
    hook: str
    indev: int
    outdev: int
    mark: int
    payload: bytes


class Judge:
    """Reads `queues` until closed. `allow` decides; `seen` is everything that came up."""

    def __init__(self, namespace: str, queues: tuple[int, ...], marks: MarkLayout | None = None) -> None:
        self.seen: list[Seen] = []
        self.allow: Callable[[Seen], bool] = lambda _: True
        self.marks = marks or layout()
        self._readers = {}
        with inside(namespace):
            for queue in queues:
                reader = NetfilterQueue()
                reader.bind(queue, lambda packet, queue=queue: self._take(queue, packet))
                self._readers[reader.get_fd()] = reader
        self._open = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def reset(self, allow: Callable[[Seen], bool] | None = None) -> None:
        """Forgets what came up, and decides by this from now on."""
        self.allow = allow or (lambda _: True)
        self.seen.clear()

    def count(self, queue: int | None = None) -> int:
        """How many packets came up, in one queue or in all."""
        return sum(1 for seen in self.seen if queue in {None, seen.queue})

    def close(self) -> None:
        """Gives the queues back."""
        self._open = False
        self._thread.join(2)
        for reader in self._readers.values():
            reader.unbind()

    def _run(self) -> None:
        while self._open:
            ready, _, _ = select.select(list(self._readers), [], [], 0.02)
            for descriptor in ready:
                self._readers[descriptor].run(block=False)

    def _take(self, queue: int, packet: object) -> None:
        mark = packet.get_mark()
        seen = Seen(queue, NF_NAMES.get(packet.hook, "?"), packet.indev, packet.outdev, mark, packet.get_payload())
        self.seen.append(seen)
        if self.allow(seen):
            packet.set_mark(mark | self.marks.accept)
            packet.repeat()
        else:
            packet.drop()
