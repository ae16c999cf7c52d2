"""Who is there."""

from calicod.compiler.labels import positions_of
from calicod.compiler.memory import Memo
from calicod.compiler.population import Population, census
from calicod.resources.snapshot import snapshot
from calicod.selector.parser import parse
from tests.unit.compiler.build import NODE, endpoint_slice, host, net, network_set, policy, profile, workload


def population(*resources, node: str | None = NODE, spoofing: bool = False) -> Population:
    return Population(census(snapshot(resources), node, spoofing=spoofing), Memo())


def names(subjects) -> list[str]:
    return [subject.endpoint.metadata.name for subject in subjects]


def test_only_endpoints_of_the_node_are_subjects_and_hosts_stand_by_name():
    present = population(host("b"), host("a"), host("c", node="n2"), workload("w"), workload("x", node="n2"))

    assert names(present.workloads) == ["n1-k8s-w-eth0"]
    assert names(present.hosts) == ["a", "b"]


def test_without_a_node_every_endpoint_is_a_subject():
    assert len(population(host("a", node="n2"), workload("x", node="n3"), node=None).subjects) == 2


def test_remote_endpoints_are_known():
    assert [k.name for k in population(workload("x", node="n2")).known] == ["n1-k8s-x-eth0"]


def test_an_ignored_workload_is_neither_subject_nor_known():
    present = population(workload("w", addresses=()), workload("x", node="n2", addresses=()))

    assert (present.subjects, present.known) == ((), ())
    assert [w.workload for w in present.ignored] == ["w"]


def test_foreign_sources_are_honoured_only_when_they_are_allowed():
    spoofer = workload("w", allow_spoofed_source_prefixes=(net("10.0.0.0/8"),))

    assert population(spoofer, spoofing=False).subjects == ()
    assert names(population(spoofer, spoofing=True).subjects) == ["n1-k8s-w-eth0"]


def test_a_selector_governs_endpoints_by_inherited_labels_and_never_sets():
    present = population(
        workload("w", profiles=("kns.a",)),
        host("h"),
        network_set("s", "a", ()),
        profile("kns.a", {"pcns.team": "red"}),
    )

    assert list(positions_of(present.governed(parse("pcns.team == 'red'")))) == [0]
    assert list(positions_of(present.governed(parse("all()")))) == [0, 1]


def test_the_census_does_not_change_with_a_policy():
    one = census(snapshot([workload(), policy("p")]), NODE, spoofing=False)
    two = census(snapshot([workload(), policy("q", selector="has(x)")]), NODE, spoofing=False)

    assert one == two


def test_a_slice_of_a_service_changes_the_census():
    """Otherwise a memory would answer with the slices of yesterday."""
    given = census(snapshot([workload()]), NODE, spoofing=False)

    assert census(snapshot([workload(), endpoint_slice("web")]), NODE, spoofing=False) != given
