import socket
import struct

from hypothesis import given
from hypothesis import strategies as st

from calicod.netfilter.flow import FlowTuple
from calicod.netfilter.segment import RESET, RawSender, checksum, reset
from calicod.packet.decode import decode
from calicod.packet.value import Packet
from tests.netns.world import run
from tests.unit.daemon.control_plane import namespace

PORTS = st.integers(0, 65535)
ENDS = st.integers(4, 4).flatmap(
    lambda n: st.tuples(st.binary(min_size=n, max_size=n), st.binary(min_size=n, max_size=n))
)
ENDS6 = st.tuples(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))


@given(ends=ENDS | ENDS6, sport=PORTS, dport=PORTS, sequence=st.integers(0, 0xFFFFFFFF))
def test_a_reset_is_a_bare_segment_of_the_flow_with_a_checksum_that_holds(ends, sport, dport, sequence):
    src, dst = ends
    packet = reset(FlowTuple(6, src, dst, sport, dport), sequence)

    family = 4 if len(src) == 4 else 6
    head = packet[-20:]
    assert decode(packet) == Packet(family, 6, src, dst, sport, dport)
    assert len(packet) == (40 if family == 4 else 60)
    assert (head[13], struct.unpack_from("!I", head, 4)[0]) == (RESET, sequence)
    assert checksum(src + dst + struct.pack("!II", 6, 20) + head) == 0


def test_the_checksum_is_that_of_rfc_1071():
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D


def test_whole_packets_are_sent_from_whatever_address():
    with namespace():
        run("ip", "link", "set", "lo", "up")
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as heard:
            heard.bind(("lo", 3))
            heard.settimeout(2.0)
            sender = RawSender()
            flow = FlowTuple(6, socket.inet_aton("198.51.100.7"), socket.inet_aton("127.0.0.1"), 9, 80)
            sender.send(reset(flow, 3), flow.dst)
            packet = heard.recv(100)
            six = FlowTuple(6, socket.inet_pton(socket.AF_INET6, "2001:db8::7"), bytes(15) + b"\1", 9, 80)
            sender.send(reset(six, 3), six.dst)
            while heard.recv(100)[:1] != b"\x60":
                pass
            sender.close()

    assert packet[12:16] == flow.src
