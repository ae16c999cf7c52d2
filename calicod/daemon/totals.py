"""What a worker has done so far, whichever enforcement it judged by.

Law: these count up only. They outlive the judge, and go with what judges to a stand-in and back.
"""

from hashlib import sha256
from time import monotonic

import msgspec

FAILURE_SECONDS = 1.0
"""The last failure is described at most this often."""


class Totals(msgspec.Struct):
    """Packets that were judged; of them those that were denied, of these those that could not be read; our failures."""

    judged: int = 0
    denied: int = 0
    malformed: int = 0
    failed: int = 0
    last_failure: str = ""
    described_at: float = -FAILURE_SECONDS

    def refuse(self, *, malformed: bool) -> None:
        """One of the packets that were judged is not allowed."""
        self.denied += 1
        if malformed:
            self.malformed += 1

    def fail(self, failure: Exception, payload: bytes) -> None:
        """Counts a failure of ours; describes it, with the digest of the packet, unless one was just described."""
        self.failed += 1
        now = monotonic()
        if now - self.described_at >= FAILURE_SECONDS:
            self.described_at = now
            digest = sha256(payload).hexdigest()[:16]
            self.last_failure = f"{type(failure).__name__}: {failure} (packet of {len(payload)} bytes, sha256 {digest})"

    def follow(self, successor: "Totals") -> None:
        """Goes on from where another process has counted to."""
        for field in self.__struct_fields__:
            setattr(self, field, getattr(successor, field))
