import msgspec
import pytest

from calicod.fields.ports import NO_PORT, Ports, table
from calicod.fields.sets import Sets
from calicod.model.protocol import ICMP
from tests.build import V, W, packet, port_set, ports, rule, tcp, udp

SETS = Sets([port_set((W, 6, 8080), (W, 17, 53)), port_set((V, 6, 80)), port_set()])
FIELD, SOURCE = Ports("destination", "dport", "dst"), Ports("source", "sport", "src")
PORTLESS = packet(ICMP)
FRAGMENT = msgspec.structs.replace(tcp(-1, sport=-1), fragment=True)
NAMED = ports(named=(0,))


@pytest.mark.parametrize(
    ("wanted", "unwanted", "sent", "expected"),
    [
        (ports(80), None, tcp(80), True),
        (ports(80), None, tcp(81), False),
        (ports((80, 90), 443), None, tcp(90), True),
        (ports((80, 90), 443), None, tcp(443), True),
        (ports((80, 90), 443), None, tcp(91), False),
        (ports((80, 90), (85, 95)), None, tcp(88), True),
        (ports((0, 65535)), None, tcp(0), True),
        (ports((0, 65535)), None, tcp(65535), True),
        (None, ports(80), tcp(80), False),
        (None, ports(80), tcp(81), True),
        (ports((80, 90)), ports(85), tcp(84), True),
        (ports((80, 90)), ports(85), tcp(85), False),
        (ports(80), None, PORTLESS, False),
        (None, ports(80), PORTLESS, False),
        (None, None, PORTLESS, True),
        (NAMED, None, tcp(8080), True),
        (NAMED, None, udp(8080), False),
        (NAMED, None, udp(53), True),
        (NAMED, None, tcp(8080, dst=V), False),
        (NAMED, None, PORTLESS, False),
        (None, NAMED, tcp(8080), False),
        (None, NAMED, tcp(8081), True),
        (None, NAMED, PORTLESS, True),
        (ports(80, named=(0, 1)), None, tcp(80, dst="192.0.2.1"), True),
        (ports(named=(0, 1)), None, tcp(80, dst=V), True),
        (ports(named=(2,)), None, tcp(80), False),
        (None, ports(named=(2,)), tcp(80), True),
        (ports(80), None, FRAGMENT, False),
        (None, ports(80), FRAGMENT, False),
        (None, NAMED, FRAGMENT, False),
        (None, None, FRAGMENT, True),
    ],
)
def test_a_port_is_in_one_list_and_not_in_the_other(wanted, unwanted, sent, expected):
    tested = rule(destination_ports=wanted, not_destination_ports=unwanted)
    index = FIELD.index([tested, rule(destination_ports=ports(1))], SETS)

    assert FIELD.test(tested, sent, SETS) is expected
    assert bool(index.mask(index.classify(sent)) & 1) is expected


def test_the_other_side_has_lists_of_its_own():
    tested = rule(source_ports=ports(40000), destination_ports=ports(80))

    assert SOURCE.test(tested, tcp(443, sport=40000), SETS)
    assert not SOURCE.test(tested, tcp(80, sport=1), SETS)


def test_a_failed_match_is_told_by_the_port_and_the_list():
    told = [
        FIELD.tell(rule(destination_ports=ports(80, (90, 99))), tcp(81), SETS),
        FIELD.tell(rule(destination_ports=ports(named=(0,))), tcp(81), SETS),
        FIELD.tell(rule(destination_ports=ports(80)), PORTLESS, SETS),
        FIELD.tell(rule(not_destination_ports=ports(80)), tcp(80), SETS),
        FIELD.tell(rule(not_destination_ports=ports(80)), PORTLESS, SETS),
    ]

    assert told == [
        "destination.ports 81 is not in 80, 90:99",
        f"destination.ports 81 of {W} is not in http",
        "destination.ports 80 wants a packet with ports",
        "destination.notPorts 80 excludes 80",
        "destination.notPorts 80 wants a packet with ports",
    ]


def test_rules_without_ports_need_no_index():
    assert FIELD.index([rule(), rule(source_ports=ports(80))], SETS) is None


def test_ports_that_no_rule_tells_apart_are_of_one_class_however_many_stretches_they_make():
    rules = [rule(destination_ports=ports(n)) for n in range(0, 2000, 2)]
    index = FIELD.index(rules, SETS)

    assert len({index.classify(tcp(port)) for port in range(65536)}) == 1001
    assert index.classify(tcp(1)) == index.classify(tcp(60000)) != index.classify(tcp(0))
    assert index.mask(index.classify(tcp(10))) == 1 << 5
    assert index.mask(index.classify(tcp(11))) == 0


def test_a_port_of_its_own_is_found_at_once_and_the_rest_by_where_it_begins():
    exact, starts, numbers = table([(80, 1), (81, 0), (90, 2), (100, 0), (65535, 3), (65536, 0)])

    assert exact == {80: 1, 65535: 3}
    assert (starts, numbers) == ([0, 90, 100], [NO_PORT, 0, 2, 0])
