import socket
import struct
from contextlib import suppress

import pytest

from calicod.daemon import resets
from calicod.daemon.resets import Resets, Segment, segment, tracked
from calicod.netfilter.flow import FlowTuple
from tests.netns.world import run
from tests.unit.daemon.control_plane import namespace
from tests.unit.daemon.test_judge import ipv4

A, B = "192.0.2.1", "192.0.2.2"
ACK, SYN, RST = 0x10, 0x02, 0x04
FLOW = FlowTuple(6, socket.inet_aton(A), socket.inet_aton(B), 40000, 80)


def tcp(flags: int, sequence: int = 77, source: str = A) -> bytes:
    return ipv4(source, B, 6, struct.pack("!HHIIBBHHH", 40000, 80, sequence, 5, 0x50, flags, 0, 0, 0))


def test_a_segment_is_read_with_its_place_in_the_stream():
    assert segment(tcp(ACK, 0xFFFFFFFE)) == Segment(FLOW, 0xFFFFFFFE)


@pytest.mark.parametrize(
    "packet",
    [
        tcp(SYN),
        tcp(RST | ACK),
        tcp(ACK)[:30],
        b"",
        ipv4(A, B, 17, struct.pack("!HHHH", 1, 2, 8, 0)),
        ipv4(A, B, 6, b"rest of a segment", fragment=9),
    ],
    ids=["begins", "resets", "cut-off", "nothing", "udp", "fragment"],
)
def test_what_ends_no_connection_is_passed_over(packet):
    assert segment(packet) is None


def test_what_conntrack_does_not_know_goes_as_it_was_seen():
    with namespace():
        assert tracked(FLOW) == FLOW


def test_a_reset_is_sent_to_the_receiver_and_no_more_than_so_many_a_second(monkeypatch):
    monkeypatch.setattr(resets, "A_SECOND", 2)
    monkeypatch.setattr(resets.time, "monotonic", lambda: 5.0)
    with namespace(), socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as heard:
        run("ip", "link", "set", "lo", "up")
        run("ip", "address", "add", f"{B}/32", "dev", "lo")
        heard.bind(("lo", 3))
        heard.settimeout(0.2)
        answering = Resets()
        for _ in range(4):
            answering.answer(tcp(ACK))
        answering.answer(b"nothing")
        came = []
        with suppress(TimeoutError):
            while True:
                packet, about = heard.recvfrom(2000)
                if about[2] == socket.PACKET_OUTGOING and packet[:1] == b"\x45" and packet[33] == RST:
                    came.append((packet[12:16], struct.unpack_from("!I", packet, 24)[0]))

    assert came == [(FLOW.src, 77), (FLOW.src, 77)]
