import threading
import time

from calicod.eventlog import writer as writing
from calicod.eventlog.memory import MemorySink
from calicod.eventlog.sink import Shortfall
from calicod.eventlog.writer import FULL, SLOW, Writer

PATIENCE = 5.0
LINE = b"0123456789\n"


class Stuck(MemorySink):
    """Hangs in its first write until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go_on = threading.Event(), threading.Event()

    def write(self, lines):
        self.entered.set()
        self.go_on.wait(PATIENCE)
        return super().write(lines)


class Faulty(MemorySink):
    """Breaks its promise once."""

    def write(self, lines):
        if not self.lines:
            self.lines.append(b"")
            raise RuntimeError("a fault")
        return super().write(lines)


def until(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.001)


def test_everything_is_written_in_order_before_it_is_closed():
    sink = MemorySink()
    writer = Writer("memory", sink)

    for number in range(1000):
        writer.put([b"%d\n" % number])
    writer.close(PATIENCE)

    assert sink.lines == [b"%d\n" % number for number in range(1000)]
    assert (writer.written, writer.lost, sink.closed) == (1000, 0, True)


def test_whoever_puts_does_not_wait_for_a_sink_that_hangs():
    sink = Stuck()
    writer = Writer("stuck", sink, room=10 * len(LINE))
    writer.put([LINE])
    sink.entered.wait(PATIENCE)

    began = time.monotonic()
    for _ in range(100):
        writer.put([LINE])

    assert time.monotonic() - began < 0.5
    assert writer.lost == 91  # the room counts what the sink has in hand, too
    sink.go_on.set()
    until(lambda: writer.written == 10)
    assert writer.take_losses() == {SLOW: 91}
    assert writer.take_losses() == {}
    writer.close(PATIENCE)


def test_lines_that_come_while_it_rests_are_gathered_unless_they_fill_a_part_of_its_room(monkeypatch):
    monkeypatch.setattr(writing, "GATHER_SECONDS", PATIENCE)
    sink = MemorySink()
    writer = Writer("memory", sink, room=4 * FULL * len(LINE))
    writer.put([LINE])
    until(lambda: writer._resting)

    writer.put([LINE] * 4)
    assert not writer.settle(0.05)
    assert sink.lines == [LINE]

    writer.put([LINE])
    assert writer.settle(PATIENCE / 2)
    assert sink.lines == [LINE] * 6


def test_what_is_more_than_a_sink_takes_in_one_turn_is_given_in_several(monkeypatch):
    monkeypatch.setattr(writing, "AT_ONCE_BYTES", 3 * len(LINE))
    sink = Stuck()
    writer = Writer("stuck", sink)
    writer.put([LINE])
    sink.entered.wait(PATIENCE)
    lines = [b"%010d\n" % number for number in range(10)]
    for line in lines:
        writer.put([line])
    assert writer.waits == 11 * len(LINE)

    turns = list[int]()
    monkeypatch.setattr(sink, "write", lambda some: turns.append(len(some)) or MemorySink.write(sink, some))
    sink.go_on.set()
    until(lambda: writer.written == 11)
    writer.close(PATIENCE)

    assert turns == [3, 3, 3, 1]
    assert (sink.lines, writer.waits, writer.lost) == ([LINE, *lines], 0, 0)


def test_neither_the_end_nor_a_new_name_waits_until_it_has_rested(monkeypatch):
    monkeypatch.setattr(writing, "GATHER_SECONDS", PATIENCE)
    sink = MemorySink()
    writer = Writer("memory", sink)
    for number in (1, 2):
        writer.put([LINE])
        until(lambda: writer._resting)
        writer.reopen()
        until(lambda number=number: sink.reopened == number)

    began = time.monotonic()
    writer.close(PATIENCE)

    assert time.monotonic() - began < PATIENCE / 2
    assert (sink.closed, writer.lost) == (True, 0)


def test_losses_are_kept_back_while_telling_of_them_would_be_lost_too():
    sink = MemorySink(room=0)
    writer = Writer("memory", sink)
    writer.put([LINE, LINE])
    until(lambda: writer.lost == 2)

    assert writer.take_losses() == {}
    assert writer.trouble == "the memory is full"

    sink.room = None
    writer.put([LINE])
    until(lambda: writer.written == 1)
    assert writer.take_losses() == {"the memory is full": 2}
    writer.close(PATIENCE)


def test_reopening_comes_before_what_is_put_later_and_needs_no_line():
    sink = MemorySink()
    writer = Writer("memory", sink)

    writer.reopen()
    until(lambda: sink.reopened == 1)
    writer.put([LINE])
    writer.close(PATIENCE)

    assert (sink.reopened, sink.lines) == (1, [LINE])


def test_the_end_does_not_wait_for_a_sink_that_hangs_and_counts_what_is_left():
    sink = Stuck()
    writer = Writer("stuck", sink)
    writer.put([LINE])
    sink.entered.wait(PATIENCE)
    writer.put([LINE, LINE])

    began = time.monotonic()
    writer.close(0.05)

    assert time.monotonic() - began < 1
    assert writer.lost == 2
    sink.go_on.set()


def test_a_fault_of_the_sink_is_a_loss_and_not_the_end():
    sink = Faulty()
    writer = Writer("faulty", sink)
    writer.put([LINE])
    until(lambda: writer.lost == 1)

    writer.put([LINE])
    writer.close(PATIENCE)

    assert (writer.written, sink.lines) == (1, [b"", LINE])


def test_trouble_without_loss_is_told_as_nothing_lost():
    class Complaining(MemorySink):
        def write(self, lines):
            super().write(lines)
            return Shortfall(0, "cannot be rotated")

    writer = Writer("memory", Complaining())
    writer.put([LINE])
    until(lambda: writer.written == 1)

    assert (writer.take_losses(), writer.lost, writer.trouble) == ({"cannot be rotated": 0}, 0, "")
    writer.close(PATIENCE)


def test_who_waits_for_the_sink_waits_for_what_was_put_before_and_not_for_ever():
    sink = Stuck()
    writer = Writer("stuck", sink, room=10 * len(LINE))
    assert writer.settle(0.0)
    writer.put([LINE])
    sink.entered.wait(PATIENCE)
    writer.put([LINE] * 9)
    writer.put([LINE])  # lost at once: nothing to wait for
    assert not writer.settle(0.01)

    sink.go_on.set()
    assert writer.settle(PATIENCE)
    assert (writer.written, writer.lost) == (10, 1)
    writer.close(PATIENCE)


def test_what_a_faulty_sink_was_given_is_not_waited_for():
    writer = Writer("faulty", Faulty())
    writer.put([LINE])

    assert writer.settle(PATIENCE)
    assert (writer.written, writer.lost) == (0, 1)
    writer.close(PATIENCE)
