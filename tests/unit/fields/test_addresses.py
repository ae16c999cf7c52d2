import pytest

from calicod.fields.addresses import Addresses
from calicod.fields.sets import Sets
from tests.build import OUTSIDE6, W6, ip_set, packet, rule, tcp

A, B, C = (
    ip_set("10.0.0.0/8", text="nets 10.0.0.0/8"),
    ip_set("10.1.0.0/16", "fd00::/8", text='selector x == "1"'),
    ip_set(),
)
SETS = Sets([A, B, C])
SOURCE, DESTINATION = Addresses("source", "src"), Addresses("destination", "dst")


@pytest.mark.parametrize(
    ("wanted", "unwanted", "address", "expected"),
    [
        ((0,), (), "10.2.3.4", True),
        ((0,), (), "11.2.3.4", False),
        ((0, 1), (), "10.1.3.4", True),
        ((0, 1), (), "10.2.3.4", False),
        ((), (1,), "10.2.3.4", True),
        ((), (1,), "10.1.3.4", False),
        ((0,), (1,), "10.2.3.4", True),
        ((0,), (1,), "10.1.3.4", False),
        ((2,), (), "10.2.3.4", False),
        ((), (2,), "10.2.3.4", True),
        ((), (), "192.0.2.1", True),
    ],
)
def test_the_address_is_in_every_wanted_set_and_in_no_other(wanted, unwanted, address, expected):
    tested = rule(source_sets=wanted, not_source_sets=unwanted)
    other_side = rule(destination_sets=wanted, not_destination_sets=unwanted)

    assert SOURCE.test(tested, tcp(80, src=address), SETS) is expected
    assert DESTINATION.test(other_side, tcp(80, dst=address), SETS) is expected
    assert DESTINATION.test(tested, tcp(80, dst=address), SETS)


def test_families_do_not_mix():
    tested = rule(source_sets=(1,))

    assert SOURCE.test(tested, packet(6, W6, OUTSIDE6), SETS)
    assert not SOURCE.test(tested, packet(6, OUTSIDE6, W6), SETS)


def test_a_failed_match_is_told_by_the_set_that_it_failed_on():
    assert SOURCE.tell(rule(source_sets=(0, 1)), tcp(80, src="10.2.0.1"), SETS) == (
        'source 10.2.0.1 is not in selector x == "1"'
    )
    assert DESTINATION.tell(rule(not_destination_sets=(0,)), tcp(80, dst="10.2.0.1"), SETS) == (
        "destination 10.2.0.1 is in nets 10.0.0.0/8, which the rule excludes"
    )


def test_rules_that_use_no_set_need_no_index():
    assert SOURCE.index([rule(), rule(destination_sets=(0,))], SETS) is None


def test_a_mask_has_every_rule_that_the_address_matches():
    rules = [
        rule(),
        rule(source_sets=(0,)),
        rule(source_sets=(0, 1)),
        rule(not_source_sets=(1,)),
        rule(source_sets=(2,)),
    ]
    index = SOURCE.index(rules, SETS)

    def matching(address):
        return bin(index.mask(index.classify(tcp(80, src=address))))

    assert matching("10.2.0.1") == "0b1011"
    assert matching("10.1.0.1") == "0b111"
    assert matching("192.0.2.1") == "0b1001"


def test_classes_that_differ_only_in_sets_no_rule_uses_share_one_mask():
    sets = Sets([A, *(ip_set(f"10.0.0.{n}/32") for n in range(50))])
    index = SOURCE.index([rule(source_sets=(0,))] * 100, sets)
    classes = {index.classify(tcp(80, src=f"10.0.0.{n}")) for n in range(50)}
    masks = [index.mask(number) for number in classes]

    assert len(classes) == 50
    assert masks[0] == (1 << 100) - 1
    assert all(mask is masks[0] for mask in masks)
