import pytest

from calicod.cli.policytest.names import Names
from calicod.cli.policytest.suite import Suite
from calicod.model.interface import Interface
from calicod.model.network import parse_address
from tests.unit.compiler.build import host, workload

V4, V6, OTHER = parse_address("10.65.0.2"), parse_address("fd00::2"), parse_address("192.0.2.1")
PEOPLE = (
    workload("w", addresses=("10.65.0.2", "10.65.0.3", "fd00::2")),
    host("h", addresses=("192.0.2.1",)),
    host("by-interface", interface="eth1"),
)
NAMES = Names(
    Suite(file="x", resources=PEOPLE, interfaces=(Interface(1, "eth1", (OTHER,)),), addresses={"client": (OTHER,)})
)


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("a/w", {4: V4, 6: V6}),
        ("a/n1-k8s-w-eth0", {4: V4, 6: V6}),
        ("h", {4: OTHER}),
        ("by-interface", {4: OTHER}),
        ("client", {4: OTHER}),
        ("fd00::2", {6: V6}),
        ("192.0.2.1", {4: OTHER}),
    ],
)
def test_who_is_meant_by_a_name(name, addresses):
    assert NAMES.addresses(name) == addresses


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a/v", 'nobody is called "a/v"; did you mean a/w?'),
        ("somebody else", "expected an address, namespace/pod"),
        ("", "nobody is called"),
    ],
)
def test_who_is_unknown_is_an_error_with_the_likeliest_meaning(name, said):
    with pytest.raises(ValueError, match="nobody") as error:
        NAMES.addresses(name)

    assert said in str(error.value)


def test_a_name_that_two_have_is_an_error():
    twins = (workload("w"), workload("w", endpoint="eth1", interface_name="cali9"))
    second = twins[1].__class__(
        **{
            **{name: getattr(twins[1], name) for name in twins[1].__struct_fields__},
            "metadata": twins[1].metadata.__class__(name="n1-k8s-w-eth1", namespace="a"),
        }
    )

    with pytest.raises(ValueError, match="may be n1-k8s-w-eth0 or n1-k8s-w-eth1"):
        Names(Suite(file="x", resources=(twins[0], second))).addresses("a/w")


def test_a_host_without_any_address_says_where_to_give_it_one():
    with pytest.raises(ValueError, match="interfaces: or addresses:"):
        Names(Suite(file="x", resources=(host("h"),))).addresses("h")
