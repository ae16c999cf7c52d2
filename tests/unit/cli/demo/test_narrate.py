import io
from pathlib import Path

import msgspec
import pytest

from calicod.cli.demo.daemon import Daemon
from calicod.cli.demo.narrate import Narrator, by_namespace, program, shown
from calicod.cli.demo.world import Pod, World
from calicod.daemon.state import Status
from calicod.model.verdict import Reason, Verdict
from tests.unit.cli.demo.build import ARRIVED, POLICY, allowed, attempt, decision, event, outcome, over_ipv6, result

PODS = [Pod("prod/red", "calired", {4: "10.65.0.11", 6: "fd00:65::11"})]


class Heard(Narrator):
    """What a narrator says, as text."""

    def __init__(self):
        self.stream = io.StringIO()
        super().__init__(self.stream)

    @property
    def text(self):
        return self.stream.getvalue()


@pytest.fixture
def narrator(monkeypatch, tmp_path):
    """Of a host where `calicod` is in PATH."""
    installed(monkeypatch, tmp_path)
    return Heard()


def installed(monkeypatch, folder):
    (folder / "calicod").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_below_each_rule_stand_the_connections_that_it_decided(narrator):
    narrator.close(result(outcome(), over_ipv6(outcome()), allowed()))

    assert narrator.text == (
        "\n  NetworkPolicy prod/web rule 0, policy.yaml:15\n"
        "    refused  client → prod/red  tcp 80     \n"
        "    allowed  client → prod/red  tcp 80      (IPv4 only)\n"
    )


def test_a_rule_is_told_from_the_event_not_from_what_is_expected(narrator):
    other = msgspec.structs.replace(POLICY, rule=3, line=99)
    narrator.close(result(outcome(events=(event(policy=other),))))

    assert "NetworkPolicy prod/web rule 3, policy.yaml:99" in narrator.text


def test_the_end_of_a_tier_is_explained(narrator):
    end = msgspec.structs.replace(POLICY, rule=-1, line=5)
    narrator.close(result(outcome(events=(event(policy=end, reason=Reason.END_OF_TIER),))))

    assert (
        "NetworkPolicy prod/web, policy.yaml:5: no rule of it matched, so its tier refuses at the end" in narrator.text
    )


def test_a_decision_without_a_rule_is_told_with_its_reason(narrator):
    narrator.close(result(outcome(events=(event(policy=None, reason=Reason.NO_PROFILE),))))

    assert "no-profile: no policy and no profile allows it" in narrator.text


def test_what_nothing_judges_is_told_as_that(narrator):
    silent = attempt(verdict="allow", reason="no-endpoint", policy="", at="", why="no host endpoint")
    verdict = decision(Verdict.ACCEPT, reason=Reason.NO_ENDPOINT, policy=None)
    narrator.close(result(allowed(attempt=silent, events=(), decision=verdict)))

    assert "no-endpoint: what is no endpoint is never judged, so there is no event" in narrator.text
    assert "allowed  client → prod/red  tcp 80     no host endpoint" in narrator.text


def test_a_difference_is_told_with_the_flow_that_it_is_about(narrator):
    narrator.close(result(outcome(ARRIVED)))

    assert "DIFFERS client → prod/red tcp 80 over IPv4: the packet arrived though it was to be refused" in narrator.text


def test_a_missing_event_is_not_told_as_if_there_were_one(narrator):
    narrator.close(result(outcome(events=())))

    assert "  there is no event\n" in narrator.text
    assert "policy.yaml:15" not in narrator.text.split("DIFFERS")[0]


def test_the_head_of_a_case_is_its_folder_and_its_introduction(narrator):
    narrator.open(result(outcome()).case)

    assert narrator.text.startswith("\n/examples/07-title ─")
    assert narrator.text.endswith("Case 7: who may?\n")


def test_at_the_beginning_it_says_who_plays_and_that_the_host_is_left_alone(narrator):
    narrator.welcome(World("x-", PODS))

    assert "nothing else of this host is touched" in narrator.text
    assert "over IPv4 and IPv6" in narrator.text
    assert "client 192.0.2.10 and partner 198.51.100.7" in narrator.text
    assert "prod/{red}" in narrator.text


def test_without_ipv6_it_says_so_and_marks_no_line_as_special(narrator):
    narrator.welcome(World("x-", PODS, (4,)))
    narrator.close(result(outcome()))

    assert "This kernel speaks no IPv6" in narrator.text
    assert "(IPv4 only)" not in narrator.text


def test_what_the_daemon_does_without_is_told(narrator):
    status = msgspec.convert(
        {
            **dict.fromkeys(("pid", "supervisor_pid", "revision", "generation", "resources", "endpoints"), 1),
            **dict.fromkeys(("reasons", "workers", "queues", "rejected", "warnings"), ()),
            "healthy": True,
            "state": "healthy",
            "node": "node",
            "uptime_seconds": 1.0,
            "steering": "iptables-nft",
            "failure_mode": "closed",
            "drops": {},
            "notices": ("no group `calicod`",),
        },
        Status,
    )
    narrator.ready(status, 1.25)

    assert narrator.text == "\n  daemon ready after 1.2 s, steering by iptables-nft\n  note: no group `calicod`\n"


def test_what_the_daemon_says_of_a_mistake_is_told_in_its_own_words(narrator):
    narrator.mistake(Path("/examples/10-mistyped"), ["policy.yaml:5:1: Y017 name: wrong\n  hint: metadata"])

    assert "  policy.yaml:5:1: Y017 name: wrong\n    hint: metadata\n" in narrator.text


@pytest.mark.parametrize(
    ("wrong", "says"),
    [([], "each as its policy says, each decision told once"), (["one"], "not all is as the policy says")],
)
def test_the_sum_counts_what_was_allowed_and_refused(narrator, wrong, says):
    narrator.farewell([result(outcome(), allowed(), allowed())], wrong, 12.4)

    assert f"3 connections in 12 s, 2 allowed and 1 refused: {says}" in narrator.text
    assert ("DIFFERS one" in narrator.text) == bool(wrong)


def test_it_invites_to_explain_the_first_connection_that_was_refused(narrator):
    narrator.invite([result(allowed(), outcome(), outcome())])

    assert "why client → prod/red tcp 80 was refused" in narrator.text
    ends = "--node node --src 192.0.2.10 --dst 10.65.0.11 --protocol tcp --dport 80"
    assert f"    calicod explain /examples/07-title {ends}\n" in narrator.text
    assert narrator.text.count("calicod explain") == 1
    assert narrator.text.endswith("    calicod demo --case 7 --keep\n")


def test_where_nothing_was_refused_there_is_nothing_to_explain(narrator):
    narrator.invite([result(allowed())])

    assert "calicod explain" not in narrator.text
    assert "calicod demo --case 7 --keep" in narrator.text


def test_what_is_kept_is_told_with_its_socket_its_policies_and_everybodys_namespace(narrator, tmp_path):
    world = World("x-", PODS)
    narrator.explain(world, Daemon("x-node", tmp_path), result(outcome()).case)

    assert f"export CALICOD_SOCKET={tmp_path}/run/calicod.sock\n" in narrator.text
    assert f"{tmp_path}/policies" in narrator.text
    assert "  x-prod-red  10.65.0.11, fd00:65::11\n" in narrator.text


def test_a_folder_is_shown_as_one_would_type_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert shown(tmp_path / "examples" / "01-a") == "examples/01-a"
    assert shown(Path("/elsewhere/01-a")) == "/elsewhere/01-a"


def test_calicod_is_called_by_its_path_where_it_is_not_in_path(monkeypatch, tmp_path):
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "calicod").touch(mode=0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "venv" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert program() == "venv/calicod"
    installed(monkeypatch, tmp_path)
    assert program() == "calicod"


def test_pods_are_listed_by_namespace():
    assert by_namespace(["a/x", "b/x", "a/y"]) == "a/{x, y}, b/{x}"
