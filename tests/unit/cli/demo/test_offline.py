import pytest

from calicod.cli.demo.cases import examples
from calicod.cli.demo.offline import Offline, name, packet, passage, place
from calicod.cli.demo.world import Pod, World, pods_of
from calicod.datastore.files import read
from calicod.errors import CalicodError
from calicod.model.decision import PolicyReference
from calicod.model.hook import Hook
from calicod.model.network import parse_address
from calicod.model.verdict import Reason, Verdict
from calicod.packet.value import Packet
from tests.unit.cli.demo.build import flow

WORLD = World("", [Pod("prod/red", "calired", {4: "10.65.0.11", 6: "fd00:65::11"})])
FOLDER = examples() / "07-with-and-without-policy"


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("client", "prod/red", (Hook.FORWARD, "eth0", "calired")),
        ("prod/red", "partner", (Hook.FORWARD, "calired", "eth0")),
        ("client", "node", (Hook.INPUT, "eth0", "")),
        ("node", "prod/red", (Hook.OUTPUT, "", "calired")),
    ],
)
def test_a_flow_is_judged_where_its_packets_pass_the_node(source, target, expected):
    assert passage(WORLD, flow(source=source, target=target)) == expected


def test_the_packet_of_a_connection_has_its_port():
    red, client = parse_address("10.65.0.11"), parse_address("192.0.2.10")

    assert packet(WORLD, flow()) == Packet(4, 6, client, red, 40000, 80)


@pytest.mark.parametrize(("family", "protocol", "kind"), [(4, 1, 8), (6, 58, 128)])
def test_the_packet_of_a_ping_is_an_echo_request_of_its_family(family, protocol, kind):
    ping = packet(WORLD, flow(protocol="icmp", port=0, family=family))

    assert (ping.protocol, ping.icmp_type, ping.icmp_code, ping.sport) == (protocol, kind, 0, -1)


def test_the_engines_of_an_example_decide_its_flows():
    world = World("", pods_of(read([FOLDER]).resources))
    asked = flow(source="client", target="production/red", port=9000)
    decision = Offline(FOLDER, world).decide(asked)

    assert (decision.verdict, decision.reason) == (Verdict.DROP, Reason.END_OF_TIER)
    assert (name(decision.policy), place(decision.policy)) == (
        "NetworkPolicy production/red-serves-http",
        "policy.yaml:3",
    )


def test_an_example_with_a_finding_is_an_error_that_tells_it():
    with pytest.raises(CalicodError, match=r"K080 10-mistyped does not load as it should\n.*Y017"):
        Offline(examples() / "10-mistyped", WORLD)


def test_a_global_policy_has_no_namespace_in_its_name_and_no_rule_no_name():
    assert name(PolicyReference("GlobalNetworkPolicy", "default", "", "all", 0)) == "GlobalNetworkPolicy all"
    assert (name(None), place(None)) == ("", "")
