from typing import get_args

import msgspec
import pytest

from calicod.model.hook import Hook
from calicod.model.record import (
    Applied,
    Batch,
    Counters,
    FromKeeper,
    FromWorker,
    Ready,
    Record,
    Report,
    SupervisorDied,
    Swap,
    ToKeeper,
    ToWorker,
    WorkerDied,
)

RECORD = Record(
    1, b"decision", Hook.FORWARD, "cali1", "eth0", 6, b"\n\0\0\1", b"\n\0\0\2", 40001, 80, -1, -1, known=True
)
MESSAGES = (
    (FromWorker, Batch(worker=1, revision=7, records=(RECORD,), lost=3)),
    (FromWorker, Applied(worker=1, pid=42, revision=7, took_ns=5, error="")),
    (FromWorker, Counters(worker=1, pid=42, judged=5, denied=2, malformed=1, failed=0, records_lost=0)),
    (ToWorker, Swap(7)),
    (ToWorker, Report()),
    (FromKeeper, WorkerDied(1, 42, -9, "killed by SIGKILL")),
    (FromKeeper, SupervisorDied(42, 70, "exit code 70")),
    (ToKeeper, Ready()),
)


@pytest.mark.parametrize(("union", "message"), MESSAGES, ids=lambda value: type(value).__name__)
def test_a_message_arrives_as_it_was_sent(union, message):
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=union) == message


@pytest.mark.parametrize("union", [FromWorker, ToWorker, FromKeeper])
def test_the_messages_of_one_way_are_told_apart_by_their_tags(union):
    tags = [kind.__struct_config__.tag for kind in get_args(union)]

    assert len(set(tags)) == len(tags) > 1


def test_a_record_is_small_it_names_no_fields():
    encoded = msgspec.msgpack.encode(RECORD)

    assert len(encoded) < 80
    assert b"time_ns" not in encoded
