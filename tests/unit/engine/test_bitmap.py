import subprocess
import sys

import pytest

from calicod.engine import bitmap, memory
from calicod.engine.bitmap import BitmapEngine
from calicod.engine.linear import LinearEngine
from calicod.model.hook import Hook
from calicod.model.protocol import TCP
from calicod.model.verdict import Verdict
from tests.build import (
    FROM_W,
    INTERFACES,
    TO_W,
    W_TO_HOST,
    W_TO_V,
    Tier,
    V,
    W,
    ip_set,
    policy,
    ports,
    profile,
    rule,
    ruleset,
    settings,
    tcp,
    udp,
)

SETS = (ip_set("198.51.100.0/24"), ip_set("203.0.113.0/24"))
RULES = ruleset(
    Tier(
        "default",
        policy(
            rule("Log", source_sets=(0,)), rule("Allow", protocol=TCP, destination_ports=ports((1, 1000))), name="a"
        ),
        policy(rule("Pass", source_sets=(1,)), rule("Deny", source_sets=(0,)), name="b"),
    ),
    profile(rule("Allow")),
    sets=SETS,
)


def engines(**fields):
    rules = ruleset(Tier("default", policy(rule("Allow", protocol=TCP))), profile(rule("Allow")), **fields)
    return LinearEngine(rules, INTERFACES), BitmapEngine(rules, INTERFACES)


def test_it_decides_as_the_linear_engine_does_for_every_port_and_peer():
    linear, quick = LinearEngine(RULES, INTERFACES), BitmapEngine(RULES, INTERFACES)
    packets = [
        make(port, source)
        for make in (tcp, udp)
        for port in (0, 1, 80, 1000, 1001, 65535)
        for source in ("198.51.100.7", "203.0.113.1", "192.0.2.55", W)
    ]

    for place in (TO_W, FROM_W, W_TO_V, W_TO_HOST):
        assert [quick.decide(p, *place) for p in packets] == [linear.decide(p, *place) for p in packets]
        assert [quick.decide_cluster(p) for p in packets] == [linear.decide_cluster(p) for p in packets]


def test_packets_that_take_one_way_share_one_decision():
    engine = BitmapEngine(RULES, INTERFACES)
    first = engine.decide(tcp(80), *TO_W)

    assert engine.decide(tcp(81, "198.51.100.99"), *TO_W) is first
    assert engine.decide(tcp(80, "192.0.2.55"), *TO_W) is not first


def test_paths_that_run_one_program_do_not_share_decisions_about_different_endpoints():
    engine = BitmapEngine(RULES, INTERFACES)
    to_w, to_v = engine.decide(tcp(80), *TO_W), engine.decide(tcp(80, dst=V), Hook.FORWARD, "eth0", "caliv")

    assert to_w.policy == to_v.policy
    assert (to_w.endpoint.name, to_v.endpoint.name) == ("w", "v")


def test_a_sender_who_tries_everything_fills_no_memory_beyond_its_limit(monkeypatch):
    monkeypatch.setattr(memory, "MAX_CLASSES", 16)
    monkeypatch.setattr(memory, "MAX_WAYS", 16)
    monkeypatch.setattr(bitmap, "MAX_WAYS", 16)
    engine = BitmapEngine(RULES, INTERFACES)
    for port in range(500):
        for source in ("198.51.100.7", "203.0.113.1", "192.0.2.55"):
            engine.decide(tcp(port * 131, source), *TO_W)
            engine.decide_cluster(tcp(port * 131, source))
        engine.decide(tcp(port), Hook.FORWARD, "eth0", f"cali{port}")
        engine.decide_way(tcp(port), Hook.FORWARD, "eth0", f"cali{port}")
    kept = engine._memory
    bounded = (kept.results, kept.ways, kept.made, kept.joined, engine._ways)

    assert all(len(known) <= 16 for known in bounded)
    assert len(engine._leaving) + len(engine._arriving) <= 4


def test_a_packet_of_known_classes_is_one_entry_however_many_are_sent():
    """Ports and peers that no rule tells apart cost no memory."""
    engine = BitmapEngine(RULES, INTERFACES)
    for number in range(5000):
        engine.decide(tcp(1001 + number, f"192.0.2.{number % 256}", sport=number), *TO_W)

    assert len(engine._memory.results) == 1


def test_an_identity_is_not_used_again_while_somebody_may_know_it(monkeypatch):
    monkeypatch.setattr(memory, "MAX_CLASSES", 1)
    monkeypatch.setattr(memory, "MAX_WAYS", 1)
    monkeypatch.setattr(bitmap, "MAX_WAYS", 1)
    engine = BitmapEngine(RULES, INTERFACES)
    held = {}
    for _ in range(50):
        for packet in (tcp(80), tcp(2000), udp(80), udp(80, "203.0.113.1"), tcp(80, "192.0.2.55")):
            decision = engine.decide(packet, *TO_W)
            assert held.setdefault(id(decision), (decision, packet))[0] == decision
            assert decision == LinearEngine(RULES, INTERFACES).decide(packet, *TO_W)


def test_an_allowed_packet_that_a_workload_may_not_send_to_its_host_is_denied():
    for action, verdict in (("Drop", Verdict.DROP), ("Accept", Verdict.ACCEPT), ("Return", Verdict.ACCEPT)):
        for engine in engines(settings=settings(endpoint_to_host_action=action)):
            assert engine.decide(tcp(80), *W_TO_HOST).verdict is verdict


def test_a_program_without_rules_has_no_fields_to_look_at():
    engine = BitmapEngine(ruleset(), INTERFACES)

    assert engine.decide(tcp(80), *TO_W) == LinearEngine(ruleset(), INTERFACES).decide(tcp(80), *TO_W)


def test_importing_the_engine_brings_neither_scapy_nor_pyroute2():
    code = "import calicod.engine.bitmap, calicod.engine.linear, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert "calicod.packet.value" in loaded
    assert not {"scapy", "pyroute2", "asyncio", "yaml", "structlog", "aiohttp"} & {
        name.split(".")[0] for name in loaded
    }


@pytest.mark.parametrize("changed", [False, True])
def test_an_engine_takes_over_the_ip_sets_of_the_former_one_only_if_they_are_equal(changed):
    sets = (ip_set("198.51.100.0/24"), ip_set("203.0.113.128/25" if changed else "203.0.113.0/24"))
    policies = Tier("default", policy(rule("Pass", source_sets=(1,)), rule("Allow", source_sets=(0,))))
    former = BitmapEngine(RULES, INTERFACES)
    packets = [tcp(80, source) for source in ("198.51.100.7", "203.0.113.1", "203.0.113.200", "192.0.2.55")]
    for packet in packets:
        former.decide(packet, *TO_W)
    rules = ruleset(policies, profile(rule("Deny")), sets=sets)

    quick, linear = BitmapEngine(rules, INTERFACES, former), LinearEngine(rules, INTERFACES)

    assert [quick.decide(p, *TO_W) for p in packets] == [linear.decide(p, *TO_W) for p in packets]
