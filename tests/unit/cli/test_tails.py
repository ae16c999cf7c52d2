import msgspec
import pytest

from calicod.cli import tails
from calicod.engine.bitmap import BitmapEngine
from tests.build import HOST, OUTSIDE, Tier, V, W, policy, ports, profile, rule, ruleset, tcp, udp

LOG, ALLOW = rule("Log"), rule("Allow", destination_ports=ports((80, 90)))
STAGED = policy(rule("Deny"), name="s", kind="StagedGlobalNetworkPolicy", staged=True)
PACKETS = [
    make(port, source, destination)
    for make in (tcp, udp)
    for port in (80, 91, 4789)
    for source in (W, V, HOST, OUTSIDE)
    for destination in (W, V, HOST, "198.51.100.1")
]


@pytest.mark.parametrize("policies", [(policy(LOG, ALLOW),), (policy(LOG, ALLOW), STAGED), (STAGED,)])
def test_the_text_is_that_of_the_decision(policies):
    engine = BitmapEngine(ruleset(Tier("default", *policies), profile(rule("Allow"))), ())
    tail = tails.in_cluster(engine)

    for packet in PACKETS * 2:
        assert tail(packet) == b"," + msgspec.json.encode(engine.decide_cluster(packet))[1:] + b"\n"


def test_the_text_of_a_decision_is_made_once():
    engine, tail = BitmapEngine(ruleset(), ()), tails.of_decisions()
    decision = engine.decide_cluster(tcp(80, W, V))

    assert tail(decision) is tail(decision)


def test_no_more_texts_are_kept_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(tails, "MEMO", 1)
    engine = BitmapEngine(ruleset(Tier("default", policy(ALLOW))), ())
    tail = tails.of_decisions()
    for port in (80, 91, 80):
        decision = engine.decide_cluster(tcp(port, W, V))
        assert tail(decision) == b"," + msgspec.json.encode(decision)[1:] + b"\n"
