"""NetworkSet and GlobalNetworkSet: P30 and P31 of semantics 1.14."""

import pytest

from tests.unit.resources.reading import Finding, one, refused, taken, warned

SUCH_AS = "such as 10.0.0.0/8 or 2001:db8::/32; names are not resolved"
RESERVED = "labels: {projectcalico.org/namespace: a}"


def test_members_are_of_both_families_and_their_host_bits_are_masked_away():
    nets = one("GlobalNetworkSet", "nets: [10.1.2.3/8, 192.0.2.1, '2001:db8::1/32', '::1']").nets

    assert [str(net) for net in nets] == ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32", "::1/128"]


@pytest.mark.parametrize("spec", ["", "nets:", "nets: []"])
def test_a_set_may_be_empty(spec):
    assert one("NetworkSet", spec).nets == ()


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("10.0.0", SUCH_AS),
        ("example.com", SUCH_AS),
        ("10.0.0.0/33", SUCH_AS),
        ("''", SUCH_AS),
        ("null", SUCH_AS),
        ("fe80::1%eth0", SUCH_AS),
        ("010.0.0.0/8", SUCH_AS),
        ("10.0.0.0/255.0.0.0", "write the mask as a number of bits, such as /24"),
        ("10.0.0.1-10.0.0.9", "write a range of addresses as one or more CIDR blocks"),
        ("' 10.0.0.1'", "remove the blanks around it"),
    ],
)
def test_what_is_no_network_refuses_the_set(entry, hint):
    assert refused("GlobalNetworkSet", f"nets: [10.0.0.0/8, «{entry}]") == [Finding("P031", "spec.nets[1]", hint)]


@pytest.mark.parametrize("again", ["10.0.0.0/8", "10.9.9.9/8"])
def test_a_member_given_twice_is_one_and_is_told(again):
    spec = f"nets: [10.0.0.0/8, {again}]"

    assert warned("NetworkSet", spec) == [Finding("W002", "spec.nets[1]", "remove one")]
    assert [str(net) for net in taken("NetworkSet", spec).nets] == ["10.0.0.0/8"]


@pytest.mark.parametrize("kind", ["NetworkSet", "GlobalNetworkSet"])
def test_the_label_that_inheritance_gives_is_reserved(kind):
    told = Finding("P030", "metadata.labels.projectcalico.org/namespace")

    assert refused(kind, meta=RESERVED) == [told]


def test_the_reserved_label_is_refused_of_sets_alone():
    assert one("HostEndpoint", "node: n\ninterfaceName: eth0", meta=RESERVED).node == "n"


def test_a_slip_in_the_field_is_told_with_the_likeliest_meaning():
    assert refused("NetworkSet", "«net: []") == [Finding("Y011", "spec.net", "did you mean nets?")]


def test_a_mistake_far_down_a_long_list_is_told_at_its_place():
    """Scalars of long lists keep only where they begin (`document.LONG`)."""
    entries = ", ".join(["10.0.0.0/8", *(f"10.{n}.0.0/16" for n in range(256)), "«10.0.0"])

    assert refused("GlobalNetworkSet", f"nets: [{entries}]") == [Finding("P031", "spec.nets[257]", SUCH_AS)]
