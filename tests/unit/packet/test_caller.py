import pytest

from calicod.packet.caller import Caller, caller
from calicod.packet.value import Packet


@pytest.mark.parametrize(
    ("sport", "dport", "who"),
    [
        (40000, 443, Caller.SENDER),
        (32768, 32767, Caller.SENDER),
        (443, 40000, Caller.RECEIVER),
        (30080, 60999, Caller.RECEIVER),
        (40000, 50000, Caller.OPEN),
        (20, 1023, Caller.OPEN),
        (-1, -1, Caller.OPEN),
        (40000, -1, Caller.OPEN),
    ],
)
def test_only_ports_that_systems_call_from_tell_who_called(sport, dport, who):
    assert caller(Packet(4, 6, b"", b"", sport, dport)) is who
