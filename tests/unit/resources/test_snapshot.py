"""Grouping, built-in resources, duplicates."""

import itertools

from calicod.errors import Place
from calicod.model.action import Action
from calicod.resources.kinds import HostEndpoint, Metadata, NetworkSet, Policy, Tier
from calicod.resources.snapshot import BUILT_IN_PROFILE, BUILT_IN_TIERS, snapshot


def test_an_empty_snapshot_has_calicos_three_tiers_and_the_profile_that_allows_everything():
    empty = snapshot([])

    assert [(t.metadata.name, t.order, t.default_action) for t in empty.tiers] == [
        ("default", 1_000_000.0, Action.DENY),
        ("kube-admin", 1_000.0, Action.PASS),
        ("kube-baseline", 10_000_000.0, Action.PASS),
    ]
    assert empty.profiles == (BUILT_IN_PROFILE,)


def test_a_built_in_tier_that_is_written_keeps_its_place():
    written = Tier(metadata=Metadata(name="kube-admin"), order=1_000.0, default_action=Action.PASS, place=Place("f", 3))

    tiers = snapshot([written]).tiers

    assert written in tiers
    assert len(tiers) == len(BUILT_IN_TIERS)


def test_the_order_of_resources_does_not_matter():
    resources = (
        Policy(kind="NetworkPolicy", metadata=Metadata(name="p", namespace="a")),
        Policy(kind="GlobalNetworkPolicy", metadata=Metadata(name="p")),
        NetworkSet(kind="NetworkSet", metadata=Metadata(name="s", namespace="a")),
        HostEndpoint(metadata=Metadata(name="h"), node="n"),
    )

    assert len({repr(snapshot(order)) for order in itertools.permutations(resources)}) == 1


def test_one_name_in_two_kinds_or_namespaces_is_two_resources():
    resources = [
        Policy(kind="NetworkPolicy", metadata=Metadata(name="p", namespace="a")),
        Policy(kind="NetworkPolicy", metadata=Metadata(name="p", namespace="b")),
        Policy(kind="GlobalNetworkPolicy", metadata=Metadata(name="p")),
    ]

    assert len(snapshot(resources).policies) == 3


def test_of_two_resources_with_one_identity_the_one_written_first_counts():
    first = Policy(kind="GlobalNetworkPolicy", metadata=Metadata(name="p"), order=1, place=Place("a.yaml", 9))
    second = Policy(kind="GlobalNetworkPolicy", metadata=Metadata(name="p"), order=2, place=Place("b.yaml", 1))

    assert snapshot([first, second]).policies == snapshot([second, first]).policies == (first,)


def test_two_resources_without_a_place_are_still_chosen_by_content_alone():
    one = Policy(kind="GlobalNetworkPolicy", metadata=Metadata(name="p"), order=1)
    two = Policy(kind="GlobalNetworkPolicy", metadata=Metadata(name="p"), order=2)

    assert snapshot([one, two]) == snapshot([two, one])
