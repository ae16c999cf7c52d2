from typing import get_args

import msgspec
import pytest

from calicod.model.event import ConnectionEvent, DaemonRecovered, Event, QueueDropped, decode, encode, name_of

KINDS = get_args(Event)


def test_a_line_begins_with_the_events_name_and_its_version():
    line = encode(QueueDropped(time="t", node="n", queue=5200, reason="queue-full", count=2))

    assert line == (
        b'{"event":"queue.dropped","version":1,"time":"t","node":"n","queue":5200,"reason":"queue-full","count":2}\n'
    )


def test_a_line_is_read_back_to_the_same_event():
    event = DaemonRecovered(time="t", node="n")

    assert decode(encode(event)) == event


@pytest.mark.parametrize("line", [b"", b"{}", b'{"event":"nothing"}', b'{"event":"queue.dropped"}'])
def test_what_is_no_event_is_refused(line):
    with pytest.raises(msgspec.DecodeError):
        decode(line)


def test_a_field_that_a_later_version_adds_is_passed_over():
    assert decode(b'{"event":"daemon.recovered","later":1}') == DaemonRecovered()


def test_every_event_has_a_name_of_its_own_in_two_words():
    names = [str(kind.__struct_config__.tag) for kind in KINDS]

    assert len(set(names)) == len(KINDS)
    assert all(name.count(".") == 1 for name in names)
    assert name_of(DaemonRecovered()) == "daemon.recovered"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_has_version_time_and_node_first(kind):
    assert kind.__struct_fields__[:3] == ("version", "time", "node")


def test_connections_carry_the_same_fields_in_the_same_order():
    shared = [kind.__struct_fields__[:23] for kind in get_args(ConnectionEvent)]

    assert len(set(shared)) == 1
    assert shared[0][-2:] == ("count", "flow_id")
