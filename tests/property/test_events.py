"""The fast way to an event line gives the very bytes of the plain one; what is folded adds up."""

from collections import deque
from ipaddress import ip_network

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from calicod.daemon.beginnings import Known
from calicod.daemon.closings import figures
from calicod.daemon.directory import Directory
from calicod.daemon.events import HELD_NS
from calicod.daemon.lines import OPEN_END, Lines, Moment
from calicod.daemon.templates import Route, build
from calicod.model.decision import Decision, EndpointReference, Pending, PolicyReference
from calicod.model.event import (
    ConnectionAllowed,
    ConnectionClosed,
    ConnectionCut,
    ConnectionDenied,
    Event,
    Hits,
    Party,
    RuleLogged,
    encode,
)
from calicod.model.hook import Hook
from calicod.model.moment import timestamp
from calicod.model.network import Network, format_address
from calicod.model.protocol import protocol_name
from calicod.model.record import Batch
from calicod.model.verdict import Reason, Verdict
from calicod.netfilter.endings import ended
from calicod.netfilter.flow import Flow, FlowTuple
from calicod.netfilter.nflog import Alike
from calicod.ruleset.program import KnownNetwork
from tests.unit.daemon.telling import SECOND, T0, Teller, deny, packet, rule

WORDS = st.sampled_from(
    ["", "a", "b", "web", "kns.default", "zwölf", "%d%", 'x"}\n{"', "\\", "\x00\x1b", "\u2028", "\x7f"]
)
TEXTS = WORDS | st.text(max_size=8)
"""All of Unicode but surrogates, which no decision can carry from a worker."""
PARTS = st.integers(min_value=0, max_value=3)
ADDRESSES = st.one_of(
    st.tuples(st.sampled_from([10, 11, 172, 192]), st.sampled_from([0, 16, 168]), PARTS, PARTS).map(bytes),
    st.tuples(PARTS, PARTS).map(lambda two: bytes([0x20, 1, *two, *[0] * 12])),
    st.just(b""),
)
NUMBERS = st.just(-1) | st.integers(0, 65535)
LOGGING = st.sampled_from([Hook.INPUT, Hook.FORWARD, Hook.OUTPUT])
FOUR = ("src", "dst", "sport", "dport")
KINDS = st.just(-1) | st.integers(0, 255)


def masked(address: bytes, length: int) -> Network:
    bits = len(address) * 8
    kept = int.from_bytes(address) >> (bits - length) << (bits - length)
    return Network(kept.to_bytes(len(address)), length)


NETWORKS = st.builds(
    lambda address, cut: masked(address, max(0, len(address) * 8 - cut)),
    ADDRESSES.filter(bool),
    st.sampled_from([0, 0, 1, 8, 9, 16, 24, 32]),
)
OWNERS = st.builds(
    KnownNetwork,
    st.sampled_from(["WorkloadEndpoint", "HostEndpoint", "NetworkSet"]),
    st.sampled_from(["", "a", "b"]),
    TEXTS,
    st.dictionaries(TEXTS, TEXTS, max_size=2),
    st.lists(NETWORKS, max_size=3).map(tuple),
)
RULES = st.builds(PolicyReference, TEXTS, TEXTS, TEXTS, TEXTS, st.integers(-1, 9), TEXTS, st.integers(0, 99999))
TRACES = st.lists(TEXTS, max_size=2).map(tuple)
DECISIONS = st.builds(
    Decision,
    verdict=st.sampled_from(Verdict),
    reason=st.sampled_from(Reason),
    policy=st.none() | RULES,
    trace=TRACES,
    logged=st.lists(RULES, max_size=2).map(tuple),
    pending=st.none() | st.builds(Pending, st.sampled_from(Verdict), TRACES),
    reporter=st.sampled_from(["src", "dst"]),
    endpoint=st.none()
    | st.builds(EndpointReference, st.sampled_from(["WorkloadEndpoint", "HostEndpoint"]), st.sampled_from("ab"), TEXTS),
)
ROUTES = st.builds(Route, st.none() | st.sampled_from(Hook), TEXTS, TEXTS, st.integers(-1, 255))
MOMENTS = st.fixed_dictionaries(
    {
        "time_ns": st.integers(0, 4_000_000_000_000_000_000),
        "revision": st.integers(0, 1 << 40),
        "src": ADDRESSES,
        "dst": ADDRESSES,
        "sport": NUMBERS,
        "dport": NUMBERS,
        "icmp_type": KINDS,
        "icmp_code": KINDS,
        "flow_id": st.none() | st.sampled_from(["0123456789abcdef", "0" * 16]),
    }
)


def owner(owners: list[KnownNetwork], address: bytes, namespace: str) -> Party | None:
    """Who owns an address, by looking at everybody."""
    if not address:
        return None
    text = format_address(address)
    ranks = [
        (rank(each, namespace), -network.length, order(each), each)
        for each in owners
        for network in each.networks
        if len(network.address) == len(address)
        and masked(address, network.length) == masked(network.address, network.length)
    ]
    if ranks:
        each = min(ranks, key=lambda found: found[:3])[3]
        return Party(each.type, each.namespace, each.name, each.labels)
    private = any(
        len(address) == 4 and ip_network(text).subnet_of(ip_network(net))
        for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
    )
    return Party("Network", "", "pvt" if private else "pub")


def rank(each: KnownNetwork, namespace: str) -> tuple[int, str]:
    if each.type != "NetworkSet":
        return 0, ""
    if each.namespace == namespace:
        return 1, ""
    return (2, "") if each.namespace == "" else (3, each.namespace)


def order(each: KnownNetwork) -> tuple[bool, str, str]:
    return each.type != "WorkloadEndpoint", each.namespace, each.name


def number(value: int) -> int | None:
    return None if value < 0 else value


def plain(kind: type, decision: Decision, route: Route, moment: dict, owners: list[KnownNetwork], **more) -> Event:
    """The event, field by field."""
    endpoint = decision.endpoint
    namespace = endpoint.namespace if endpoint else ""
    parties = {side: owner(owners, moment[side], namespace) for side in ("src", "dst")}
    if endpoint and endpoint.type == "HostEndpoint" and route.hook in {Hook.INPUT, Hook.OUTPUT}:
        same = [o for o in sorted(owners, key=order) if (o.type, o.namespace, o.name) == by_name(endpoint)]
        labels = same[-1].labels if same else {}
        parties[decision.reporter] = Party(endpoint.type, endpoint.namespace, endpoint.name, labels)
    return kind(
        **{
            "time": timestamp(moment["time_ns"]),
            "node": "n1",
            "revision": moment["revision"],
            "verdict": "allow" if decision.verdict is Verdict.ACCEPT else "deny",
            "reason": decision.reason,
            "hook": route.hook,
            "in_interface": route.in_interface or None,
            "out_interface": route.out_interface or None,
            "protocol": None if route.protocol < 0 else protocol_name(route.protocol),
            "src_ip": format_address(moment["src"]) if moment["src"] else None,
            "src_port": number(moment["sport"]),
            "dst_ip": format_address(moment["dst"]) if moment["dst"] else None,
            "dst_port": number(moment["dport"]),
            "icmp_type": number(moment["icmp_type"]),
            "icmp_code": number(moment["icmp_code"]),
            "reporter": decision.reporter if route.hook else None,
            **parties,
            "policy": decision.policy,
            "policies": Hits(decision.trace, decision.pending.trace if decision.pending else ()),
            "count": 1,
            "flow_id": moment["flow_id"],
            **more,
        }
    )


def by_name(endpoint: EndpointReference) -> tuple[str, str, str]:
    return endpoint.type, endpoint.namespace, endpoint.name


@given(DECISIONS, ROUTES, MOMENTS, st.lists(OWNERS, max_size=6), st.integers(1, 1000), st.none() | RULES)
def test_the_fast_line_is_the_very_bytes_of_the_plain_event(decision, route, moment, owners, count, old):
    directory = Directory(owners)
    template = build(1, decision, route, directory)
    lines, seen = Lines("n1", directory), Moment(template=template, **moment)
    described = (decision, route, moment, owners)

    for _ in range(2):  # the second time from memory
        assert lines.line("connection.allowed", seen) == encode(plain(ConnectionAllowed, *described))
        assert lines.line("connection.denied", seen, count) == encode(plain(ConnectionDenied, *described, count=count))
    cut = lines.line("connection.cut", seen, more=f',"old_policy":{msgspec.json.encode(old).decode()}')
    assert cut == encode(plain(ConnectionCut, *described, old_policy=old))
    for logged, fast in zip(decision.logged, template.logged, strict=True):
        line = lines.line("rule.logged", seen, tail=fast.tail, more=f',"suppressed":{count}')
        assert line == encode(plain(RuleLogged, *described, policy=logged, suppressed=count))


@given(DECISIONS, ROUTES, MOMENTS, st.lists(OWNERS, max_size=6))
def test_a_line_of_many_alike_is_the_very_bytes_of_one(decision, route, moment, owners):
    directory = Directory(owners)
    template, (src, dst, sport, dport) = build(1, decision, route, directory), (moment[name] for name in FOUR)
    lines, given = Lines('n"1\\', directory), (template, moment["time_ns"], moment["revision"], src, dst)

    form = lines.form("connection.allowed", *given, dport)

    for port, flow_id in ((abs(sport), "0123456789abcdef"), (0, "0" * 16)):
        line = lines.write("connection.allowed", *given, port, dport, flow_id)
        assert f"{form.before}{port}{form.between}{flow_id}{OPEN_END}".encode() == line


ENDS = ADDRESSES.filter(bool)
BEGUN = st.fixed_dictionaries(
    {"src": ENDS, "dst": ENDS, "sport": st.integers(0, 65535), "dport": st.integers(0, 65535)}
)


@given(DECISIONS, BEGUN, LOGGING, st.integers(0, 1 << 40), st.lists(OWNERS, max_size=6), MOMENTS)
def test_what_the_kernel_let_pass_is_told_in_the_very_bytes_of_what_a_worker_judged(
    decision, ends, hook, revision, owners, moment
):
    decision = msgspec.structs.replace(decision, verdict=Verdict.ACCEPT, logged=())
    path = {"hook": hook, "in_interface": "eth0", "out_interface": "caliw1"}
    time_ns = SECOND + moment["time_ns"]
    time_ns += HELD_NS if time_ns % SECOND < HELD_NS else 0  # else it would have begun in the second before
    first = msgspec.structs.replace(packet(decision), **path, **ends, time_ns=time_ns)
    logged = (0, *(ends[name] for name in FOUR))
    alike = Alike(hook, False, first.protocol, first.src, first.dst, first.dport, [first.sport])
    judged = Teller(*owners).log
    expected = judged.records(Batch(0, revision, (first,)))

    for run in ((hook, False, first.protocol, [logged]), alike):
        begun = Teller(*owners).log
        begun.know([Known(msgspec.structs.replace(first, sport=1, time_ns=0), revision)])
        assert begun.begun([run], deque(), first.time_ns) == expected
        assert begun.hits() == judged.hits()


COUNTERS = st.just(-1) | st.integers(0, (1 << 63) - 1)
TIMES = st.just(0) | st.integers(1, 4_000_000_000_000_000_000)


@given(DECISIONS, ROUTES, MOMENTS, st.lists(COUNTERS, min_size=4, max_size=4), TIMES, TIMES)
@example(Decision(verdict=Verdict.DROP, reason=Reason.RULE), Route(None, "", "", 6), None, [1, -1, 2, 3], 1, 10**18)
def test_the_end_of_a_connection_has_the_same_bytes_too(decision, route, moment, counters, start, stop):
    moment = moment or {
        **dict.fromkeys(("src", "dst"), b""),
        **dict.fromkeys(("sport", "dport", "icmp_type", "icmp_code"), -1),
        "time_ns": T0,
        "revision": 1,
        "flow_id": None,
    }
    one = FlowTuple(6, b"\n\0\0\1", b"\n\0\0\2", 1, 2)
    packets, octets, reply_packets, reply_octets = counters
    flow = Flow(one, one, 0, 0, 0, packets, octets, reply_packets, reply_octets, start, stop)
    seen = Moment(template=build(1, decision, route, Directory()), **moment)

    line = Lines("n1", Directory()).line("connection.closed", seen, more=figures(ended(flow)))

    expected = {
        "duration_ms": max(0, stop - start) // 1000 / 1000 if start and stop else None,
        "packets_to_dst": number(packets),
        "bytes_to_dst": number(octets),
        "packets_to_src": number(reply_packets),
        "bytes_to_src": number(reply_octets),
    }
    assert line == encode(plain(ConnectionClosed, decision, route, moment, [], **expected))


STEPS = st.tuples(st.integers(0, 2), st.integers(0, 1), st.floats(-5, 40), st.booleans())


@given(st.lists(STEPS, max_size=60))
def test_refused_packets_that_are_told_and_those_that_are_counted_add_up(steps):
    """Whatever the order, the rules and the clock. `known`: the flow was allowed once, as far as the kernel knows."""
    teller, now, told = Teller(), 0.0, []
    for port, number_of_rule, later, known in steps:
        now += later
        record = packet(deny(rule("web", number_of_rule)), now, sport=port, known=known)
        told += [*teller.judged(record), *teller.tick(now)]
    told += teller.close(now)

    summaries = [event.count for event in told if event.count > 1]
    assert len(told) - 2 * len(summaries) + sum(summaries) == len(steps)
