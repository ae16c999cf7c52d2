import json

import msgspec
import pytest

from calicod.daemon.directory import Directory
from calicod.daemon.lines import Lines, Moment
from calicod.daemon.templates import Route, build
from calicod.model.event import decode
from calicod.model.hook import Hook
from calicod.model.moment import timestamp
from tests.unit.daemon.telling import CLIENT, SERVER, T0, allow, known, packed, rule

TEMPLATE = build(1, allow(), Route(Hook.FORWARD, "eth0", "cali1", 6), Directory())
MOMENT = Moment(T0, 7, TEMPLATE, packed(CLIENT), packed(SERVER), 40001, 80, -1, -1, "00112233aabbccdd")


def fields(event: str = "connection.allowed", **changes: object) -> dict[str, object]:
    lines = Lines("n1", Directory())
    return json.loads(lines.line(event, msgspec.structs.replace(MOMENT, **changes)))


def test_a_line_is_an_event_of_its_version():
    line = Lines("n1", Directory()).line("connection.allowed", MOMENT)

    assert line.endswith(b"}\n")
    assert (decode(line).policy, decode(line).version) == (rule(), 1)


@pytest.mark.parametrize("time_ns", [T0, T0 + 999_999_999, T0 + 1_000_000_000, T0 - 1, T0 + 1])
def test_the_time_is_exact_across_seconds_in_any_order(time_ns):
    lines = Lines("n1", Directory())
    lines.line("connection.allowed", MOMENT)

    line = json.loads(lines.line("connection.allowed", msgspec.structs.replace(MOMENT, time_ns=time_ns)))

    assert line["time"] == timestamp(time_ns)


def test_what_a_packet_has_not_is_null():
    told = fields(sport=-1, dport=-1, src=b"", flow_id=None)

    assert (told["src_port"], told["dst_port"], told["src_ip"], told["src"], told["flow_id"]) == (None,) * 5
    assert (told["icmp_type"], told["icmp_code"]) == (None, None)


def test_zero_is_a_number():
    told = fields(sport=0, dport=0, icmp_type=0, icmp_code=0)

    assert (told["src_port"], told["dst_port"], told["icmp_type"], told["icmp_code"]) == (0, 0, 0, 0)


def test_the_directory_may_be_replaced():
    lines = Lines("n1", Directory())
    lines.line("connection.allowed", MOMENT)
    lines.directory = Directory([known("NetworkSet", "", "all", "0.0.0.0/0")])

    assert json.loads(lines.line("connection.allowed", MOMENT))["src"]["name"] == "all"


def test_the_node_is_encoded():
    assert json.loads(Lines('n"1\n', Directory()).line("connection.allowed", MOMENT))["node"] == 'n"1\n'
