import io
import sys

import pytest

from calicod.cli.account import Account, PendingAccount, PolicyAccount, RuleAccount, StageAccount, TierAccount
from calicod.cli.story import pending_story, story, tell
from calicod.model.decision import EndpointReference

POD = EndpointReference("WorkloadEndpoint", "shop", "web")


def rule(index: int, action: str, *missed: str) -> RuleAccount:
    return RuleAccount(index, action, "web.yaml", 10 + index, not missed, missed)


def policy(*rules: RuleAccount, untried: int = 0, kind: str = "NetworkPolicy") -> PolicyAccount:
    return PolicyAccount(kind, "shop", "web", "web.yaml", 1, list(rules), untried)


def stage(*tiers: TierAccount, verdict: str = "deny", reason: str = "end-of-tier", **more: object) -> StageAccount:
    given = {"profiles": [], "elsewhere": (), **more}
    return StageAccount(POD, "ingress", {"app": "web"}, list(tiers), verdict=verdict, reason=reason, **given)


def text(*stages: StageAccount, unasked: tuple[str, ...] = (), notes: tuple[str, ...] = ()) -> list[str]:
    told = story(Account(list(stages), list(unasked), list(notes), ""))
    return ["".join(part for part, _ in line) for line in told]


def test_a_stage_is_told_from_the_endpoint_down_to_the_rule():
    tier = TierAccount("default", [policy(rule(0, "Allow", "protocol udp is not tcp", "source is not there"))], "Deny")

    assert text(stage(tier)) == [
        "",
        "1. ingress of WorkloadEndpoint shop/web: denied (end-of-tier)",
        "   labels: app=web",
        "   tier default",
        "     NetworkPolicy shop/web  web.yaml:1",
        "       - rule 0 Allow  web.yaml:10  protocol udp is not tcp; source is not there",
        "     end of tier: deny",
    ]


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("Allow", "matches: allow"),
        ("Deny", "matches: deny"),
        ("Log", "matches: logged, goes on"),
        ("Pass", "matches: passed on"),
    ],
)
def test_a_rule_that_matches_says_what_it_does(action, said):
    lines = text(stage(TierAccount("default", [policy(rule(3, action))])))

    assert f"       > rule 3 {action}  web.yaml:13  {said}" in lines


def test_what_was_not_reached_is_counted():
    tier = TierAccount("default", [policy(rule(0, "Allow"), untried=2)], untried=1)

    lines = text(stage(tier, verdict="allow", reason="rule"))

    assert "       2 rules behind it not tried" in lines
    assert "     1 policy behind it not asked" in lines


def test_an_endpoint_without_policy_and_profile_says_so():
    assert text(stage(reason="no-profile"))[3:] == [
        "   no policy applies to it for ingress",
        "   it has no profile that could allow it: deny",
    ]


def test_a_profile_without_rules_in_this_direction_says_so():
    lines = text(stage(reason="no-profile", profiles=[policy(kind="Profile")]))

    assert lines[-2:] == ["     no rules in this direction", "   none of its profiles allows it: deny"]


def test_policies_for_others_endpoints_not_asked_and_notes_come_last():
    lines = text(stage(elsewhere=("NetworkPolicy a/b",)), unasked=("ingress of HostEndpoint x",), notes=("by the way",))

    assert lines[-5:] == [
        "   not for this endpoint and ingress: NetworkPolicy a/b",
        "",
        "ingress of HostEndpoint x was not asked",
        "",
        "by the way",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "coloured"), [(io.StringIO, False), (Terminal, True)])
def test_only_a_terminal_gets_colours(monkeypatch, stream, coloured):
    out = stream()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)

    tell(iter([(("[tier] ", ""), ("denied", "bold red"))]))

    assert ("\x1b[" in out.getvalue()) is coloured
    assert "[tier] " in out.getvalue()


def pending_text(verdict: str, *stages: StageAccount) -> list[str]:
    pending = PendingAccount("deny", "a rule says so", list(stages))
    told = pending_story(Account([], [], [], "", pending), verdict)
    return ["".join(part for part, _ in line) for line in told]


def test_what_staged_policies_would_do_is_told_with_their_tiers_alone():
    staged = policy(rule(0, "Deny"), kind="StagedNetworkPolicy")
    staged.staged = True
    other = TierAccount("first", [policy(rule(0, "Pass"))])

    assert pending_text("allow", stage(other, TierAccount("default", [staged]))) == [
        "",
        "with the staged policies enforced it would be denied: a rule says so",
        "   ingress of WorkloadEndpoint shop/web",
        "   tier default",
        "     StagedNetworkPolicy shop/web  web.yaml:1",
        "       > rule 0 Deny  web.yaml:10  matches: deny",
    ]


def test_staged_policies_that_change_nothing_are_said_to_change_nothing():
    assert pending_text("deny", stage()) == [
        "",
        "with the staged policies enforced it would still be denied: a rule says so",
    ]


def test_nothing_is_told_of_staged_policies_where_there_are_none():
    assert list(pending_story(Account([], [], [], ""), "allow")) == []


def test_a_phase_that_leaves_it_undecided_is_neither_allowed_nor_denied():
    lines = text(stage(verdict="allow", reason="no-verdict", phase="preDNAT"))

    assert lines[1] == "1. preDNAT ingress of WorkloadEndpoint shop/web: left to what comes next (no-verdict)"
    assert "   no policy applies to it for preDNAT ingress" in lines
