"""The examples with the real daemon and real packets, in namespaces of their own: what `calicod demo` shows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from calicod.cli.demo import lease
from calicod.cli.demo.cases import FAMILIES, examples, load_cases
from calicod.cli.demo.daemon import Daemon
from calicod.cli.demo.outcome import Outcome, decided, told
from calicod.cli.demo.tour import SAID, mistaken
from calicod.cli.demo.traffic import Traffic
from calicod.cli.demo.trial import Result, Trial
from calicod.cli.demo.world import NODE, World, pods_of
from calicod.datastore.files import read
from calicod.model.event import ConnectionDenied
from tests.netns.patience import seconds
from tests.netns.variants import IPTABLES, needs_variant

pytestmark = [pytest.mark.netns, pytest.mark.security]
FOLDER = examples()
CASES = {case.number: case for case in load_cases(FOLDER)}
SYN_SECONDS = seconds(1.3)
"""Within this a TCP connection that nobody answers tries again."""
RULELESS = {"no-profile", "endpoint-to-host"}
"""Refusals that no rule makes: there is none to name."""


class Stage:
    """A world with a daemon; each case is played once, when it is first asked for."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self._results: dict[int, Result] = {}

    def result(self, number: int) -> Result:
        if number not in self._results:
            self._results[number] = self.trial.run(CASES[number])
        return self._results[number]

    def outcomes(self, number: int) -> tuple[Outcome, ...]:
        return self.result(number).outcomes


def build(prefix: str, base: Path, steering: str, families: tuple[int, ...] = FAMILIES) -> Iterator[Stage]:
    held = lease.claim(prefix, base)
    try:
        world = World(
            held.prefix, pods_of(r for case in CASES.values() for r in read([case.folder]).resources), families
        )
        world.build()
        traffic = Traffic(world)
        daemon = Daemon(world.space(NODE), held.folder, {"steering": steering})
        try:
            daemon.start()
            yield Stage(Trial(world, traffic, daemon))
        finally:
            daemon.stop()
            traffic.close()
    finally:
        held.close()


@pytest.fixture(scope="module", params=IPTABLES)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    needs_variant(request.param)
    yield from build("cde-", tmp_path_factory.mktemp("stage"), request.param)


def test_in_the_end_no_decision_was_told_twice_or_of_a_connection_that_nobody_tried(stage: Stage):
    for number in CASES:
        assert stage.result(number).differences == ()

    assert stage.trial.surplus() == ()


@pytest.mark.parametrize("number", CASES)
class TestCase:
    def test_everything_comes_out_as_it_is_written(self, stage: Stage, number: int):
        assert stage.result(number).differences == ()

    def test_what_is_allowed_is_answered_and_what_is_refused_never_arrives(self, stage: Stage, number: int):
        for outcome in stage.outcomes(number):
            if outcome.flow.verdict == "allow":
                assert outcome.seen.answered, outcome.flow
            else:
                assert not outcome.seen.arrived and not outcome.seen.answered, outcome.flow

    def test_each_refused_connection_has_one_event_that_names_the_rule_and_its_place(self, stage: Stage, number: int):
        refused = [outcome for outcome in stage.outcomes(number) if outcome.flow.verdict == "deny"]

        assert refused
        for outcome in refused:
            (event,) = outcome.events
            assert isinstance(event, ConnectionDenied) and event.count == 1
            if outcome.flow.reason in RULELESS:
                assert event.policy is None, outcome.flow
            else:
                assert event.policy is not None, outcome.flow
                assert (event.policy.rule, f"{Path(event.policy.file).name}:{event.policy.line}") == (
                    outcome.flow.rule,
                    outcome.flow.at,
                )

    def test_the_daemon_decides_as_the_engines_do_offline(self, stage: Stage, number: int):
        judged = [outcome for outcome in stage.outcomes(number) if outcome.events]

        assert [told(outcome.events[0]) for outcome in judged] == [decided(outcome.decision) for outcome in judged]

    def test_both_families_and_all_protocols_were_tried(self, stage: Stage, number: int):
        flows = [outcome.flow for outcome in stage.outcomes(number)]

        assert {(flow.family, flow.protocol) for flow in flows} >= {
            (family, protocol) for family in FAMILIES for protocol in ("tcp", "udp", "icmp")
        }


def test_a_mistyped_policy_is_refused_with_its_place_and_what_was_in_force_before_ends(stage: Stage):
    (folder,) = (path.parent for path in FOLDER.glob(f"*/{SAID}"))

    assert "\n".join(mistaken(stage.trial.daemon, folder)) == (folder / SAID).read_text().strip()
    assert [d.code for d in stage.trial.daemon.status().rejected] == ["Y017"]


def test_ipv4_alone_plays_the_same_and_retransmissions_of_a_refused_connection_add_no_event(tmp_path: Path):
    for stage in build("cd4-", tmp_path, "auto", FAMILIES[:1]):
        stage.trial.settle_seconds = SYN_SECONDS
        result = stage.result(1)

        assert result.differences == ()
        assert {outcome.flow.family for outcome in result.outcomes} == {4}
