from calicod.eventlog.memory import MemorySink
from calicod.eventlog.sink import Shortfall


def test_lines_beyond_the_room_are_refused_and_counted():
    sink = MemorySink(room=2)

    assert sink.write([b"a\n", b"b\n", b"c\n"]) == Shortfall(1, "the memory is full")
    assert sink.lines == [b"a\n", b"b\n"]


def test_what_was_done_to_it_can_be_seen():
    sink = MemorySink()

    sink.reopen()
    sink.close()

    assert (sink.reopened, sink.closed) == (1, True)
