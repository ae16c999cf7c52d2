"""What the kernel is asked to bring."""

from hypothesis import given
from hypothesis import strategies as st

from calicod.compiler.steering import OWN_IDS, allotted, crowded_out, steer
from calicod.model.interface import Interface
from calicod.model.marks import LOCAL_ID, UNMANAGED_ID, layout
from calicod.model.protocol import TCP
from calicod.model.steering import FailsafePort, ForwardingWorkload, Nic, Steering
from calicod.resources.kinds import Failsafe, FelixConfiguration, Metadata
from calicod.ruleset.program import RuleSet
from tests.unit.compiler.build import addr, host, net, policy, ruleset, tcp_rule, workload

ETH0 = Interface(1, "eth0", (addr("192.0.2.1"),))
ETH1 = Interface(2, "eth1")
LO = Interface(3, "lo", (addr("127.0.0.1"),))
CALI = Interface(4, "caliw")
ALL = (ETH0, ETH1, LO, CALI)
SPOOFING = FelixConfiguration(metadata=Metadata(name="default"), workload_source_spoofing="Any")
NAMES = st.lists(st.sampled_from([f"eth{n}" for n in range(40)]), unique=True)


def steered(compiled: RuleSet, interfaces=ALL, previous: Steering | None = None, **fields: object) -> Steering:
    settings = {"generation": 1, "queue_base": 5200, "workers": 2, "fail_open": False, "marks": layout()}
    return steer(compiled, interfaces, previous, Steering(**{**settings, **fields}))


def test_nothing_is_judged_until_an_endpoint_of_this_node_exists():
    assert steered(ruleset(host(node="n2"), workload(node="n2"))) == Steering(generation=1, workers=2)


def test_interfaces_with_a_host_endpoint_are_managed_and_lo_is_none_of_them():
    steering = steered(ruleset(host("h", "eth0")))

    assert steering.nics == (Nic("eth0", 3, True), Nic("eth1", 4, False))
    assert not steering.wildcard_host


def test_a_host_endpoint_by_address_manages_the_interface_that_bears_it():
    assert steered(ruleset(host("h", "", ("192.0.2.1",)))).nics[0] == Nic("eth0", 3, True)


def test_a_wildcard_manages_every_host_interface():
    steering = steered(ruleset(host("h", "*")))

    assert steering.nics == (Nic("eth0", 3, True), Nic("eth1", 4, True))
    assert steering.wildcard_host


def test_what_no_rule_can_name_counts_as_any_other_that_is_judged_alike():
    odd = Interface(8, "eth+", (addr("192.0.2.8"),))
    unmanaged, everywhere, own = (
        steered(ruleset(judge), (*ALL, odd)).nics
        for judge in (host("h", "eth0"), host("h", "*"), host("h", "", ("192.0.2.8",)))
    )

    assert unmanaged == (Nic("eth0", 3, True), Nic("eth1", 4, False))
    assert everywhere == (Nic("eth0", 3, True), Nic("eth1", 4, True))
    assert own == (Nic("eth+", 3, True), Nic("eth0", 4, False), Nic("eth1", 5, False))


def test_each_host_endpoint_but_one_has_its_own_id_for_what_the_host_sends():
    two = steered(ruleset(host("a", "eth0"), host("b", "eth1")))
    same = steered(
        ruleset(host("a", "", ("192.0.2.1", "192.0.2.2"))), (ETH0, Interface(2, "eth1", (addr("192.0.2.2"),)))
    )
    with_wildcard = steered(ruleset(host("a", "eth0"), host("z", "*")))
    later = steered(ruleset(host("a", "eth0"), host("b", "eth1")), (*ALL, Interface(9, "eth9")), two)

    assert [nic.local_id for nic in two.nics] == [LOCAL_ID, 5]
    assert [nic.local_id for nic in same.nics] == [LOCAL_ID, LOCAL_ID]
    assert [nic.local_id for nic in with_wildcard.nics] == [5, LOCAL_ID]
    assert [(nic.id, nic.local_id) for nic in later.nics] == [(3, LOCAL_ID), (4, 5), (6, LOCAL_ID)]


def test_only_a_host_endpoint_that_names_lo_judges_what_the_host_sends_to_itself():
    named = steered(ruleset(host("a", "eth0"), host("l", "lo")))

    assert steered(ruleset(host("h", "*"), host("i", "", ("127.0.0.1",)))).loopback is None
    assert steered(ruleset(host("l", "lo"))).loopback == LOCAL_ID
    assert (named.loopback, named.nics[0].local_id) == (4, LOCAL_ID)
    assert steered(ruleset(host("a", "eth0"), host("l", "lo"), host("b", "eth1")), previous=named).loopback == 4


def test_a_host_endpoint_with_policy_that_applies_on_forward_judges_what_its_interface_forwards():
    forward = policy("f", selector="has(gate)", apply_on_forward=True)
    gate, other = host("a", "eth0", labels={"gate": ""}), host("b", "eth1")
    star = host("z", "*", labels={"gate": ""})

    assert [nic.forward for nic in steered(ruleset(forward, gate, other)).nics] == [True, False]
    assert not steered(ruleset(forward, gate, other)).wildcard_forward
    with_star = steered(ruleset(forward, other, star))
    assert ([nic.forward for nic in with_star.nics], with_star.wildcard_forward) == ([True, False], True)


def test_policy_before_dnat_of_a_wildcard_is_asked_on_every_interface_and_other_on_its_own():
    before = policy("b", selector="has(gate)", apply_on_forward=True, pre_dnat=True, ingress=(tcp_rule(),))
    gate, star = host("a", "eth0", labels={"gate": ""}), host("z", "*", labels={"gate": ""})
    other = host("b", "eth1")
    own, everywhere = (steered(ruleset(before, other, judge)) for judge in (gate, star))

    assert ([nic.prednat for nic in own.nics], own.wildcard_prednat) == ([True, False], False)
    assert ([nic.prednat for nic in everywhere.nics], everywhere.wildcard_prednat) == ([True, True], True)


def test_untracked_policy_is_asked_for_its_direction_only_and_never_of_a_wildcard():
    early = policy("u", apply_on_forward=True, do_not_track=True, ingress=(tcp_rule(),))
    steering = steered(ruleset(early, host("a", "eth0"), host("l", "lo"), host("z", "*")))

    assert [(nic.untracked_in, nic.untracked_out) for nic in steering.nics] == [(True, False), (False, False)]
    assert steering.loopback_untracked
    assert not steered(ruleset(early, host("a", "eth0"))).loopback_untracked


def test_an_interface_that_a_host_endpoint_names_is_managed_before_it_is_there():
    steering = steered(ruleset(host("h", "eth7"), host("lost", "caliw"), host("a", "", ("203.0.113.1",))))

    assert steering.nics == (Nic("eth0", 4, False), Nic("eth1", 5, False), Nic("eth7", 3, True))


def test_a_workload_needs_no_host_endpoint_to_be_judged():
    steering = steered(ruleset(workload()))

    assert steering.workload_prefixes == ("cali",)
    assert [nic.managed for nic in steering.nics] == [False, False]


def test_workload_interfaces_without_endpoint_are_closed_as_soon_as_any_endpoint_exists():
    assert steered(ruleset(host())).workload_prefixes == ("cali",)
    assert steered(ruleset(workload(addresses=()))).workload_prefixes == ("cali",)


def test_a_forwarding_workload_has_an_id_of_its_own_and_a_shadowed_one_has_not():
    prefixes = {"allow_spoofed_source_prefixes": (net("10.0.0.0/8"),)}
    steering = steered(
        ruleset(SPOOFING, workload("w", **prefixes), workload("z", interface_name="caliw", **prefixes), workload("v"))
    )

    assert steering.forwarding_workloads == (ForwardingWorkload("caliw", 3, (net("10.0.0.0/8"),)),)
    assert [nic.id for nic in steering.nics] == [4, 5]


def test_the_settings_of_the_host_are_carried_over():
    felix = FelixConfiguration(
        metadata=Metadata(name="default"),
        failsafe_inbound_host_ports=(Failsafe(TCP, 22, net("10.0.0.0/8")), Failsafe(TCP, 22, net("10.0.0.0/8"))),
        failsafe_outbound_host_ports=(),
        disable_conntrack_invalid_check=True,
        interface_prefix=("tap", "cali"),
    )

    steering = steered(ruleset(felix, host()), queue_base=7, fail_open=True, generation=9)

    assert steering == Steering(
        generation=9,
        nics=steering.nics,
        workload_prefixes=("cali", "tap"),
        failsafe_inbound=(FailsafePort(TCP, 22, net("10.0.0.0/8")),),
        drop_invalid=False,
        queue_base=7,
        workers=2,
        fail_open=True,
    )


def test_an_interface_keeps_its_id_while_others_come_and_go():
    compiled = ruleset(host("h", "*"))
    first = steered(compiled, (ETH0, ETH1))
    second = steered(compiled, (Interface(9, "eth00"), ETH1), first)

    assert {nic.name: nic.id for nic in second.nics} == {"eth1": 4, "eth00": 5}


def test_the_order_of_interfaces_does_not_matter():
    compiled = ruleset(host("h", "*"), workload())

    assert steered(compiled, ALL) == steered(compiled, ALL[::-1])


def test_when_ids_run_out_managed_interfaces_have_them_and_the_others_are_told():
    names = [f"eth{number:02}" for number in range(40)]
    steering = steered(ruleset(host("h", "eth39")), [Interface(n, name) for n, name in enumerate(names, 1)])

    ids = {nic.name: nic.id for nic in steering.nics}
    assert ids["eth39"] == 3
    assert crowded_out(steering) == tuple(names[26:39])
    assert {ids[name] for name in crowded_out(steering)} == {UNMANAGED_ID}


def test_an_id_that_was_just_left_is_given_away_last():
    before = {"gone": 3, "eth0": 4}

    assert allotted(["eth0", "new"], before) == {"eth0": 4, "new": 5}
    crowd = [f"new{number}" for number in range(27)]
    assert allotted(["eth0", *crowd], before)["new25"] == 3
    assert allotted(["eth0", *crowd], before)["new26"] == UNMANAGED_ID


@given(NAMES, NAMES)
def test_own_ids_are_never_shared_and_never_change(first: list[str], second: list[str]):
    before = {name: number for name, number in allotted(first, {}).items() if number in OWN_IDS}
    after = allotted(second, before)

    own = [number for number in after.values() if number in OWN_IDS]
    assert len(own) == len(set(own)) == min(len(second), len(OWN_IDS))
    assert all(after[name] == number for name, number in before.items() if name in after)
