import msgspec

from calicod.engine.flat import TIER_END, TIER_PASS, UNDECIDED, flatten
from calicod.model.hook import Direction
from calicod.model.verdict import Reason, Verdict
from tests.build import Tier, policy, profile, rule, ruleset


def flat(*parts, direction=Direction.INGRESS):
    rules = ruleset(*parts)
    return flatten(rules, rules.programs[0], direction)


TWO_TIERS = (
    Tier("sec", policy(rule("Log"), rule("Pass"), rule("Deny"), name="a", tier="sec")),
    Tier("default", policy(rule("Allow"), name="b")),
    profile(rule("Pass"), rule("Deny"), name="c"),
    profile(rule("Allow"), name="d"),
)
"""Bits: 0 Log, 1 Pass, 2 Deny, 3 end of sec; 4 Allow, 5 end of default; 6 Pass, 7 Deny; 8 Allow; 9 no profile."""


def test_tiers_end_in_an_entry_that_always_matches_and_so_does_the_list():
    found = flat(*TWO_TIERS)

    assert [i for i, entry in enumerate(found.rules) if entry is TIER_END] == [3, 5, 9]
    assert found.policies[9] is None
    assert found.onwards[:6] == (4, 4, 4, 4, 6, 6)
    assert found.onwards[6:8] == (8, 8)


def test_a_way_takes_the_lowest_bit_goes_over_logs_and_jumps_with_passes():
    found = flat(*TWO_TIERS)

    assert found.way(0b1000101101) == (0, 2)
    assert found.way(0b1000101010) == (1, 5)
    assert found.way(0b1111001000) == (3,)
    assert found.way(0b1110000010) == (1, 7)
    assert found.way(0b1111000010) == (1, 6, 8)
    assert found.way(0b1000000000) == (9,)


def test_the_result_of_a_way_tells_its_logs_and_passes():
    found = flat(*TWO_TIERS).result((0, 1, 6, 8))

    assert (found.verdict, found.reason) == (Verdict.ACCEPT, Reason.PROFILE)
    assert found.hits == ("sec|gnp:a|pass|1", "__PROFILE__|pro:c|pass|0", "__PROFILE__|pro:d|allow|0")
    assert [reference.rule for reference in found.logged] == [0]


def test_where_no_profile_matches_no_rule_decided():
    found = flat(*TWO_TIERS).result((1, 9))

    assert (found.verdict, found.reason, found.policy) == (Verdict.DROP, Reason.NO_PROFILE, None)
    assert found.hits == ("sec|gnp:a|pass|1", "__PROFILE__|pro:|deny|-1")


def test_a_tier_that_passes_by_default_ends_in_a_pass():
    found = flat(Tier("sec", policy(rule("Deny"), name="a", tier="sec"), default="Pass"))

    assert found.rules[1] is TIER_PASS
    assert found.result((1, 2)).hits[0] == "sec|gnp:a|pass|-1"


def test_staged_policies_have_no_entries_and_leave_no_end_of_their_tier():
    staged = policy(rule("Deny"), name="s", kind="StagedGlobalNetworkPolicy", staged=True)

    assert len(flat(Tier("sec", staged)).rules) == 1
    assert [p.name for p in flat(Tier("sec", staged, policy(rule("Deny"), name="a"))).policies[:2]] == ["a", "a"]


def test_each_direction_has_its_own_list():
    both = policy(name="p", ingress=(rule("Allow"),), egress=(rule("Deny"), rule("Allow")))

    assert len(flat(Tier("default", both)).rules) == 3
    assert len(flat(Tier("default", both), direction=Direction.EGRESS).rules) == 4


def test_as_if_enforced_staged_policies_have_entries_and_the_first_policy_is_told_of_the_end():
    staged = policy(rule("Deny"), name="s", kind="StagedGlobalNetworkPolicy", staged=True)
    rules = ruleset(Tier("sec", staged, policy(rule("Allow"), name="a")))
    found = flatten(rules, rules.programs[0], Direction.INGRESS, pending=True)

    assert [p.name for p in found.policies[:4]] == ["s", "a", "a", "s"]
    assert (found.enforced, found.pending) == (0b10110, 0b11011)
    assert found.result((2,)).hits == ("default|gnp:a|deny|-1",)
    assert found.result((3,)).hits == ("default|sgnp:s|deny|-1",)


def test_a_tier_of_staged_policies_alone_has_no_end_that_counts():
    staged = policy(rule("Deny"), name="s", kind="StagedGlobalNetworkPolicy", staged=True)
    rules = ruleset(Tier("sec", staged), profile(rule("Allow")))
    found = flatten(rules, rules.programs[0], Direction.INGRESS, pending=True)

    assert (found.enforced, found.pending) == (0b1100, 0b1111)
    assert flatten(rules, rules.programs[0], Direction.INGRESS).policies[0].name != "s"


def test_an_open_ended_program_leaves_undecided_what_nobody_decides():
    rules = ruleset(Tier("sec", policy(rule("Deny"), name="a", tier="sec"), default="Pass"))
    found = flatten(rules, msgspec.structs.replace(rules.programs[0], open_ended=True), Direction.INGRESS)
    result = found.result(found.way(0b110))

    assert found.rules[-1] is UNDECIDED
    assert (result.verdict, result.reason, result.policy) == (Verdict.ACCEPT, Reason.NO_VERDICT, None)
    assert result.hits == ("sec|gnp:a|pass|-1",)
