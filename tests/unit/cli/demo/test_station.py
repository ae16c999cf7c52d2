import json
import os
import socket
import subprocess
import sys
import time

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP
from scapy.layers.sctp import SCTP

from calicod.cli.demo.station import arrival, described
from calicod.cli.demo.traffic import STATION

LOCAL = {4: "127.0.0.1", 6: "::1"}
V4, V6 = IP(src="192.0.2.1", dst="192.0.2.2"), IPv6(src="2001:db8::1", dst="2001:db8::2")


@pytest.mark.parametrize(
    ("family", "packet", "expected"),
    [
        (4, V4 / TCP(sport=40000, dport=80), "tcp 192.0.2.1 40000 80"),
        (6, V6 / UDP(sport=40000, dport=53), "udp 2001:db8::1 40000 53"),
        (4, V4 / ICMP(type=8, id=77), "icmp 192.0.2.1 77 8"),
        (6, V6 / ICMPv6EchoRequest(id=77), "icmp 2001:db8::1 77 128"),
        (4, V4 / SCTP(sport=30001, dport=2905), "sctp 192.0.2.1 30001 2905"),
        (4, IP(src="192.0.2.1", options=b"\x01" * 4) / UDP(sport=1, dport=2), "udp 192.0.2.1 1 2"),
        (4, IP(src="192.0.2.1", proto=47) / bytes(20), None),
    ],
)
def test_a_packet_is_told_by_protocol_source_and_ports(family, packet, expected):
    assert arrival(family, bytes(packet)) == expected


@pytest.mark.parametrize("length", [0, 10, 19, 27])
def test_a_packet_that_ends_early_is_no_arrival(length):
    assert arrival(4, bytes(V4 / UDP(sport=1, dport=2))[:length]) is None


def test_what_is_no_ip_is_no_arrival():
    assert arrival(6, bytes(ARP())) is None
    assert described(6, "192.0.2.1", b"short") is None


class Process:
    """A station, asked as the demo asks it."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(STATION)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def until(self, condition):
        """What it tells, as soon as this holds."""
        deadline = time.monotonic() + 5
        while not condition(told := self.ask(do="tell")):
            assert time.monotonic() < deadline, told
            time.sleep(0.01)
        return told

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(5)


@pytest.fixture
def station():
    process = Process()
    yield process
    process.end()


def free(protocol, family):
    kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[protocol]
    with socket.socket({4: socket.AF_INET, 6: socket.AF_INET6}[family], kind) as sock:
        sock.bind((LOCAL[family], 0))
        return sock.getsockname()[1]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_who_listens_answers_each_text_and_both_sides_tell_it(station, protocol, family):
    ends = {"protocol": protocol, "family": family, "port": free(protocol, family)}
    station.ask(do="listen", address=LOCAL[family], **ends)
    port = station.ask(do="call", name="1", source=LOCAL[family], target=LOCAL[family], text="hello", **ends)["port"]
    told = station.until(lambda told: told["lines"]["1"]["texts"])

    assert told["lines"]["1"] == {"up": True, "texts": ["hello"], "error": ""}
    assert told["lines"][f"{protocol} {LOCAL[family]} {port} {ends['port']}"]["texts"] == ["hello"]


def test_a_connection_that_nobody_takes_has_its_error(station):
    port = free("tcp", 4)
    station.ask(do="call", name="1", protocol="tcp", family=4, source=LOCAL[4], target=LOCAL[4], port=port, text="x")

    assert station.until(lambda told: told["lines"]["1"]["error"])["lines"]["1"]["error"] == "ECONNREFUSED"


def test_an_address_that_is_not_ones_own_is_an_answer_not_the_end(station):
    ends = {"protocol": "tcp", "family": 4, "source": "192.0.2.1", "target": LOCAL[4], "port": 1, "text": "x"}

    assert "OSError" in station.ask(do="call", name="1", **ends)["error"]
    assert station.ask(do="tell")["arrivals"] == {}


def test_what_is_forgotten_is_closed_at_once_and_who_listens_goes_on(station):
    ends = {"protocol": "tcp", "family": 4, "port": free("tcp", 4)}
    station.ask(do="listen", address=LOCAL[4], **ends)
    for name in ("1", "2"):
        station.ask(do="call", name=name, source=LOCAL[4], target=LOCAL[4], text=name, **ends)
        told = station.until(lambda told, name=name: told["lines"][name]["texts"])
        assert told["lines"][name]["texts"] == [name]
        station.ask(do="forget")
        assert station.ask(do="tell")["lines"] == {}


def test_it_ends_with_its_input():
    assert Process().end() == 0


def test_it_ends_without_a_word_when_nobody_hears_it():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-I", "-S", str(STATION)]
    done = subprocess.run(command, input=b'{"do":"tell"}\n', stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)

    assert (done.returncode, done.stderr) == (0, b"")


def test_it_needs_nothing_but_the_standard_library():
    """`-I -S`: no site packages, no user's settings."""
    done = subprocess.run([sys.executable, "-I", "-S", str(STATION)], input=b"", capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")
