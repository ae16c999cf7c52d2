from pathlib import Path
from resource import getpagesize

import pytest

from calicod.daemon import heap

PAGES_BEFORE_SHARED = 1
MEGABYTE = 1 << 20


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[PAGES_BEFORE_SHARED]) * getpagesize()


@pytest.mark.skipif(heap._trim is None, reason="this C library has no malloc_trim")
def test_what_was_freed_between_what_is_still_used_goes_back():
    some = [bytes(700) for _ in range(40_000)]
    kept = some[::100]
    del some
    before = resident()

    heap.give_back()

    assert before - resident() > 10 * MEGABYTE
    assert len(kept) == 400


def test_where_the_c_library_cannot_nothing_changes(monkeypatch):
    monkeypatch.setattr(heap, "_trim", None)
    before = resident()

    heap.give_back()

    assert abs(resident() - before) < MEGABYTE
