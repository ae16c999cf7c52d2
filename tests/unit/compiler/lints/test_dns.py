import pytest

from calicod.compiler.lints.dns import dns_way
from calicod.model.protocol import UDP, Protocol
from tests.unit.compiler.build import entity, rule, tcp_rule


def udp(action: str, *ports: int | str):
    return rule(action, protocol=Protocol(UDP), destination=entity(ports=ports))


@pytest.mark.parametrize(
    ("rules", "way"),
    [
        ((), "refuses"),
        ((tcp_rule(destination=entity(ports=(443,))),), "refuses"),
        ((rule(protocol=Protocol(1)),), "refuses"),
        ((rule("Deny"),), "refuses"),
        ((rule("Log"),), "refuses"),
        ((rule(),), "allows"),
        ((udp("Allow", 53),), "allows"),
        ((udp("Allow", "dns"),), "allows"),
        ((tcp_rule(),), "allows"),
        ((rule("Pass"),), "passes"),
        ((udp("Pass", 53), udp("Allow", 53)), "allows"),
        ((udp("Deny", 53),), "meant"),
    ],
)
def test_what_could_be_a_question_to_some_server_counts(rules, way):
    assert dns_way(rules) == way
