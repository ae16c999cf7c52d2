"""The resources as values."""

import msgspec
import pytest

from calicod.errors import Place
from calicod.model.action import Action
from calicod.resources.kinds import (
    ANYONE,
    EntityRule,
    FelixConfiguration,
    HostEndpoint,
    Metadata,
    NetworkSet,
    Policy,
    Profile,
    Resource,
    Rule,
    ServiceAccountMatch,
    Tier,
    WorkloadEndpoint,
    identity,
)
from calicod.selector.parser import parse

NAMED = Metadata(name="x", namespace="ns", labels={"a": "b"})
SIDE = EntityRule(selector=parse("a == 'b'"), ports=("http",), service_accounts=ServiceAccountMatch(("s",)))
EVERY_KIND = [
    Policy(kind="NetworkPolicy", metadata=NAMED, ingress=(Rule(action=Action.PASS, source=SIDE),), order=1.5),
    Policy(kind="StagedNetworkPolicy", metadata=NAMED, staged_action="Set"),
    Tier(metadata=NAMED, default_action=Action.PASS),
    NetworkSet(kind="GlobalNetworkSet", metadata=NAMED),
    HostEndpoint(metadata=NAMED, node="n", expected_ips=(bytes(4),)),
    WorkloadEndpoint(metadata=NAMED, node="n", interface_name="c"),
    Profile(metadata=NAMED, egress=(Rule(action=Action.LOG),)),
    FelixConfiguration(metadata=NAMED, failsafe_inbound_host_ports=()),
]


@pytest.mark.parametrize("resource", EVERY_KIND, ids=lambda resource: resource.kind)
def test_a_resource_is_complete_frozen_and_comes_back_from_bytes(resource):
    written = msgspec.msgpack.encode(resource, order="deterministic")

    assert msgspec.msgpack.decode(written, type=Resource) == resource
    with pytest.raises(AttributeError):
        resource.place = Place("elsewhere")


@pytest.mark.parametrize("resource", EVERY_KIND, ids=lambda resource: resource.kind)
def test_kind_namespace_and_name_make_the_identity(resource):
    assert identity(resource) == (resource.kind, "ns", "x")


def test_the_tier_is_no_part_of_the_identity():
    one, two = (Policy(kind="GlobalNetworkPolicy", metadata=Metadata(name="p"), tier=tier) for tier in ("a", "b"))

    assert identity(one) == identity(two) == ("GlobalNetworkPolicy", "", "p")


@pytest.mark.parametrize(
    ("action", "staged", "suppressed"),
    [("", False, False), ("Set", True, False), ("Learn", True, False), ("Ignore", True, False), ("Delete", True, True)],
)
def test_the_staged_action_says_whether_a_policy_is_enforced_or_evaluated(action, staged, suppressed):
    policy = Policy(kind="any", metadata=NAMED, staged_action=action)

    assert (policy.is_staged, policy.is_suppressed) == (staged, suppressed)


def test_a_side_without_criteria_is_anyone():
    assert Rule(action=Action.ALLOW).source == ANYONE
    assert EntityRule(selector=parse("all()")) != ANYONE
