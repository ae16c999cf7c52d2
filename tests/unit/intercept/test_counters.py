from pathlib import Path

import pytest

from calicod.intercept import counters
from calicod.intercept.counters import QueueCounters, available, parse_counters, read_counters

TWO_QUEUES = """\
 5200  31337     3 2  1024     1     2       40  1
 5201 -1204     0 2  1024     0     0        0  1
"""


def test_each_line_is_a_queue():
    assert parse_counters(TWO_QUEUES) == {
        5200: QueueCounters(
            queue=5200, owner=31337, waiting=3, copy_range=1024, queue_dropped=1, user_dropped=2, id_sequence=40
        ),
        5201: QueueCounters(
            queue=5201, owner=-1204, waiting=0, copy_range=1024, queue_dropped=0, user_dropped=0, id_sequence=0
        ),
    }


@pytest.mark.parametrize(
    "line", ["", "5200 1 2", "queue owner waiting mode range dropped user id", "5200 a 0 2 0 0 0 0"]
)
def test_a_line_that_is_not_understood_is_left_out_and_the_others_are_told(line):
    assert list(parse_counters(f"{line}\n{TWO_QUEUES}")) == [5200, 5201]


def test_columns_of_a_later_kernel_are_no_fault():
    assert parse_counters("5200 31337 3 2 1024 1 2 40 1 99 98\n")[5200].id_sequence == 40


def test_without_the_table_there_is_no_queue_and_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(counters, "TABLE", tmp_path / "absent")

    assert not available()
    assert read_counters() == {}


def test_the_table_is_read_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    table = tmp_path / "nfnetlink_queue"
    table.write_text(TWO_QUEUES)
    monkeypatch.setattr(counters, "TABLE", table)

    assert available()
    assert read_counters()[5200].waiting == 3
