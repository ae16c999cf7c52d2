import pytest
from msgspec.structs import replace

from calicod.model.interface import Interface, Link
from calicod.model.marks import UNMANAGED_ID
from calicod.model.steering import FailsafePort, Nic, Steering
from tests.unit.cli.doctor.build import STEERING, TRACKING, found, one

WORKLOADS = replace(STEERING, workload_prefixes=("cali",))


def link(name: str, kind: str = "", master: str = "", below: str = "") -> Link:
    return Link(Interface(5, name), kind, master, below)


def test_a_managed_port_of_a_bridge_is_told():
    links = (link("eth0", master="br0"), link("br0", "bridge"))

    finding = one("reach", links=links)

    assert (finding.state, "eth0 belongs to br0" in finding.message) == ("warn", True)


def test_a_prefix_that_covers_a_nic_is_a_failure_that_names_both():
    finding = one("interface-prefix", steering=Steering(generation=1, workload_prefixes=("e",)))

    assert (finding.state, "(e) covers eth0" in finding.message) == ("fail", True)


@pytest.mark.parametrize(
    ("steering", "state"),
    [
        (replace(STEERING, failsafe_inbound=(FailsafePort(17, 22),)), "warn"),
        (Steering(generation=1, wildcard_host=True), "warn"),
        (Steering(generation=1, workload_prefixes=("cali",)), "ok"),
    ],
)
def test_a_managed_host_without_ssh_among_its_failsafes_is_told(steering, state):
    assert one("failsafe", steering=steering).state == state


def test_interfaces_without_an_id_of_their_own_are_named():
    finding = one("identities", steering=replace(STEERING, nics=(Nic("eth9", UNMANAGED_ID, managed=True),)))

    assert (finding.state, "eth9" in finding.message) == ("warn", True)


def test_two_ways_out_are_told_and_a_strict_reverse_path_with_them():
    routes = ((4, "eth0"), (4, "eth1"), (6, "eth0"))
    strict = TRACKING | {"net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/eth1/rp_filter": "1"}
    loose = strict | {"net/ipv4/conf/all/rp_filter": "2"}

    asymmetric, dropped = found("routes", default_routes=routes, sysctls=strict)

    assert "eth0, eth1" in asymmetric.message
    assert "rp_filter is 1 on eth1" in dropped.message
    assert len(found("routes", default_routes=routes, sysctls=loose)) == 1


@pytest.mark.parametrize(
    ("accept", "forwarding", "state"), [(2, 1, "warn"), (1, 0, "warn"), (1, 1, "ok"), (0, 0, "ok")]
)
def test_a_workload_whose_router_advertisements_would_be_believed_is_told(accept, forwarding, state):
    place = "net/ipv6/conf/cali1/"
    sysctls = TRACKING | {f"{place}accept_ra": str(accept), f"{place}forwarding": str(forwarding)}

    finding = one("router-advertisements", steering=WORKLOADS, links=(link("cali1", "veth"),), sysctls=sysctls)

    assert finding.state == state


def test_workloads_on_a_bridge_whose_frames_pass_no_rule_are_told():
    links = (link("br0", "bridge"), link("cali1", "veth", master="br0"))
    on = TRACKING | {f"net/bridge/bridge-nf-call-{name}": "1" for name in ("iptables", "ip6tables")}

    finding = one("bridges", steering=WORKLOADS, links=links)

    assert (finding.state, "cali1" in finding.message) == ("warn", True)
    assert "do pass" in one("bridges", steering=WORKLOADS, links=links, sysctls=on).message
    assert "do not pass" in one("bridges", links=links).message


def test_a_node_without_endpoints_is_told():
    assert one("managed", steering=Steering(generation=1)).state == "warn"


def test_what_is_managed_is_listed():
    assert one("managed", steering=WORKLOADS).message == "node n1 manages eth0, cali*"
