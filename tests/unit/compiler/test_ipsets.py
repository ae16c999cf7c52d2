"""Members of sets (semantics 2.6 to 2.9)."""

from calicod.compiler.endpoints import endpoint_source, set_source
from calicod.compiler.ipsets import Members, nets_set, ports_set, selector_set, service_set
from calicod.compiler.ranges import ranges_of
from calicod.model.protocol import SCTP, TCP, UDP
from calicod.ruleset.program import IPSet
from calicod.selector.parser import parse
from tests.unit.compiler.build import addr, endpoint_slice, host, net, network_set, port, texts, workload

BLUE = workload("b", addresses=("10.65.0.2", "fd00::2"), labels={"color": "blue"}, ports=(port("http", 8080),))
RED = workload(
    "r",
    "b",
    addresses=("10.65.0.3",),
    labels={"color": "red"},
    ports=(port("http", 80), port("http", 81), port("http", 80, UDP), port("sig", 9, SCTP)),
)
HOST = host(addresses=("192.0.2.1",), labels={"color": "blue"}, ports=(port("http", 80),))
NETS = network_set("s", "", ("198.51.100.0/24",), {"color": "blue"})


def members() -> Members:
    sources = [endpoint_source(endpoint, {}) for endpoint in (BLUE, RED, HOST)]
    return Members((*sources, set_source(NETS, ranges_of(NETS.nets), {})))


def fill(definition) -> IPSet:
    return members().fill([definition])[0]


def test_a_selector_stands_for_the_addresses_of_whatever_matches_it():
    filled = fill(selector_set(parse("color == 'blue'")))

    assert texts(filled) == ["10.65.0.2-10.65.0.2", "192.0.2.1-192.0.2.1", "198.51.100.0-198.51.100.255"]
    assert filled.v6 == addr("fd00::2") * 2
    assert filled.text == 'selector color == "blue"'


def test_a_selector_that_matches_nobody_is_an_empty_set():
    assert fill(selector_set(parse("color == 'green'"))) == IPSet('selector color == "green"')


def test_nets_are_one_set_however_they_are_ordered():
    nets = (net("10.0.0.0/8"), net("fd00::/8"), net("10.0.0.0/8"))

    assert nets_set(nets) == nets_set(reversed(nets))
    assert texts(fill(nets_set(nets))) == ["10.0.0.0-10.255.255.255"]


def test_a_named_port_is_the_tuples_of_every_endpoint_that_has_it():
    assert fill(ports_set("http", TCP, None)).ports == (
        (addr("10.65.0.2"), TCP, 8080),
        (addr("10.65.0.3"), TCP, 80),
        (addr("10.65.0.3"), TCP, 81),
        (addr("192.0.2.1"), TCP, 80),
        (addr("fd00::2"), TCP, 8080),
    )


def test_a_rule_without_protocol_takes_the_port_of_every_protocol():
    assert fill(ports_set("http", None, parse("color == 'red'"))).ports == (
        (addr("10.65.0.3"), TCP, 80),
        (addr("10.65.0.3"), TCP, 81),
        (addr("10.65.0.3"), UDP, 80),
    )


def test_a_selector_limits_who_resolves_a_named_port():
    assert fill(ports_set("http", TCP, parse("color == 'red'"))).ports == (
        (addr("10.65.0.3"), TCP, 80),
        (addr("10.65.0.3"), TCP, 81),
    )


def test_a_name_that_nobody_has_and_one_in_another_case_are_empty():
    assert fill(ports_set("ftp", None, None)).ports == ()
    assert fill(ports_set("HTTP", None, None)).ports == ()


def test_equal_members_under_two_texts_share_their_bytes():
    one, two = members().fill([selector_set(parse("has(color)")), selector_set(parse("all()"))])

    assert one.v4 is two.v4


SLICES = (
    endpoint_slice("web", "a", ("10.65.0.2", "10.65.0.3"), ((TCP, 8080), (UDP, 53)), name="one"),
    endpoint_slice("web", "a", ("fd00::2",), ((TCP, 9090),), name="two"),
    endpoint_slice("web", "b", ("10.65.0.9",), ((TCP, 1),)),
    endpoint_slice("", "a", ("10.65.0.8",), ((TCP, 2),)),
)


def of_service(namespace: str, name: str, *, with_ports: bool) -> IPSet:
    return Members((), SLICES).fill([service_set(namespace, name, with_ports=with_ports)])[0]


def test_a_service_is_the_addresses_of_its_slices():
    filled = of_service("a", "web", with_ports=False)

    assert (texts(filled), filled.v6, filled.ports) == (["10.65.0.2-10.65.0.3"], addr("fd00::2") * 2, ())
    assert filled.text == "service a/web"


def test_a_service_with_ports_joins_addresses_and_ports_of_one_slice_alone():
    filled = of_service("a", "web", with_ports=True)

    assert (filled.v4, filled.v6) == (b"", b"")
    assert filled.ports == tuple(
        sorted(
            [
                *(
                    (addr(a), protocol, p)
                    for a in ("10.65.0.2", "10.65.0.3")
                    for protocol, p in ((TCP, 8080), (UDP, 53))
                ),
                (addr("fd00::2"), TCP, 9090),
            ]
        )
    )


def test_a_service_without_slices_is_empty_and_noted_until_the_next_time():
    present = Members((), SLICES)
    (filled,) = present.fill([service_set("b", "gone", with_ports=False)])

    assert (filled.v4, filled.v6, present.without_slices) == (b"", b"", {("b", "gone")})
    present.fill([service_set("a", "web", with_ports=True)])
    assert present.without_slices == set()
