"""Verdicts and reasons: words of the public face."""

from calicod.model.verdict import Reason, Verdict

# A renamed word breaks whoever reads events: it needs an ADR (contract.md).
PROMISED = {
    "rule",
    "end-of-tier",
    "profile",
    "no-profile",
    "unknown-interface",
    "failsafe",
    "host-to-workload",
    "no-endpoint",
    "malformed",
}


def test_a_verdict_is_told_as_allow_or_deny_and_given_as_reject_or_spare_too():
    assert [verdict.value for verdict in Verdict] == ["allow", "deny", "reject", "spare"]


def test_every_promised_reason_is_there():
    assert {reason.value for reason in Reason} >= PROMISED
