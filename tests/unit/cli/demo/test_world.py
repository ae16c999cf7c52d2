import pytest

from calicod.cli.demo.cases import FAMILIES
from calicod.cli.demo.lease import clear
from calicod.cli.demo.space import inside, run
from calicod.cli.demo.world import CLIENT, NODE, PARTNER, Pod, World, known_families, pods_of
from calicod.model.network import parse_address
from calicod.resources.load import load

RED = Pod("prod/red", "calired", {4: "10.65.0.11", 6: "fd00:65::11"})
BLUE = Pod("shop/blue", "caliblue", {4: "10.65.0.12", 6: "fd00:65::12"})
ENDPOINT = """
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {{name: {node}-k8s-{pod}-eth0, namespace: prod}}
spec:
  node: {node}
  orchestrator: k8s
  pod: {real}
  endpoint: eth0
  interfaceName: {interface}
  ipNetworks: [10.65.0.11/32, "fd00:65::11/128"]
"""


def endpoints(pod="red", node=NODE, interface="calired", real=None):
    text = ENDPOINT.format(pod=pod, node=node, interface=interface, real=real or pod)
    loaded = load(text, "endpoints.yaml")
    assert loaded.diagnostics == ()
    return loaded.resources


@pytest.fixture
def world():
    return World("cdw-", (RED, BLUE))


def test_a_pod_is_what_its_endpoint_says():
    assert pods_of(endpoints()) == (RED,)


def test_the_same_pod_in_several_examples_is_one():
    assert pods_of([*endpoints(), *endpoints()]) == (RED,)


def test_two_pods_of_one_name_are_an_error_that_names_the_place():
    with pytest.raises(ValueError, match=r"endpoints.yaml:2:1: prod/red is another endpoint"):
        pods_of([*endpoints(), *endpoints(interface="caliother")])


def test_a_pod_of_another_node_is_not_here():
    assert pods_of(endpoints(node="elsewhere")) == ()


def test_a_dash_in_a_pods_name_is_doubled_in_that_of_its_endpoint():
    assert pods_of(endpoints(pod="red--one", real="red-one"))[0].name == "prod/red-one"


def test_who_has_a_namespace_of_his_own(world):
    assert [world.space(name) for name in world.places] == ["cdw-node", "cdw-client", "cdw-prod-red", "cdw-shop-blue"]
    assert world.space(PARTNER) == world.space(CLIENT)


def test_everybody_is_reached_through_an_interface_of_the_node(world):
    assert [world.interface(name) for name in (NODE, CLIENT, PARTNER, "prod/red")] == ["", "eth0", "eth0", "calired"]


def test_who_is_not_here_has_no_address(world):
    with pytest.raises(KeyError):
        world.address("prod/green", 4)


def test_everybodys_addresses_are_known(world):
    assert world.known_addresses >= {"192.0.2.1", "2001:db8:100::7", "10.65.0.11", "fd00:65::12"}
    assert len(world.known_addresses) == 2 * 5


def test_the_engine_is_told_of_the_nodes_interfaces_and_addresses(world):
    uplink, *links = world.interfaces()

    assert uplink.addresses == (parse_address("192.0.2.1"), parse_address("2001:db8:2::1"))
    assert [link.name for link in links] == ["calired", "caliblue"]


def test_a_kernel_without_ipv6_speaks_only_ipv4(tmp_path):
    assert known_families(tmp_path / "if_inet6") == (4,)
    (tmp_path / "if_inet6").touch()
    assert known_families(tmp_path / "if_inet6") == FAMILIES


def ping(world, source, target, family):
    command = ("ping", f"-{family}", "-c1", "-W2", "-I", world.address(source, family), world.address(target, family))
    return "1 received" in run(*inside(world.space(source), command))


@pytest.mark.netns
@pytest.mark.parametrize("families", [(4, 6), (4,)], ids=["ipv4-and-ipv6", "ipv4-alone"])
def test_what_is_built_carries_packets_between_all(families):
    world = World("cdw-", (RED, BLUE), families)
    try:
        world.build()
        pairs = [(CLIENT, "prod/red"), ("prod/red", PARTNER), ("prod/red", "shop/blue"), (NODE, "shop/blue")]
        assert all(ping(world, *pair, family) for pair in pairs for family in families)
        assert ("inet6 2001" in run("ip", "-n", world.space(NODE), "address")) is (6 in families)
    finally:
        clear("cdw-")
