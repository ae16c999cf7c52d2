import msgspec
import pytest

from calicod.daemon.proposal import Cut, Document, Outcome, Proposal, Prospect, Refusal, Session
from calicod.daemon.state import TrialState
from calicod.errors import CalicodError
from tests.unit.daemon.test_state import FLOW, WRONG

SESSION = Session("192.0.2.9", 50000, "192.0.2.1", 22)
TRIAL = TrialState(phase="trial", began="2026-09-21T14:15:00.000000Z", seconds_left=42.0, files=("/p/web.yaml",))
CUT = Cut(flow=FLOW, session=True, reason="rule", policy=FLOW.policy)
PROSPECT = Prospect(
    cuts=(CUT,), cut=1, flows=3, unjudged=1, session="deny", resources=4, endpoints=2, files=("/p/web.yaml",)
)
OUTCOME = Outcome(done="applied", revision=7, generation=3, trial=TRIAL, rejected=(WRONG,))
PROPOSAL = Proposal(documents=(Document("web.yaml", "kind: Tier"),), session=SESSION, confirm_within=60.0)


@pytest.mark.parametrize("value", [PROPOSAL, PROSPECT, OUTCOME])
def test_what_is_asked_and_answered_is_the_same_after_its_way_through_json(value):
    assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value


def test_a_refusal_is_the_error_that_it_was_made_of():
    error = CalicodError("K050", "a set is on trial already", hint="confirm it", exit_code=1)

    assert str(Refusal.of(error).error()) == str(error)


@pytest.mark.parametrize(
    ("session", "text"),
    [
        (SESSION, "192.0.2.9:50000 -> 192.0.2.1:22"),
        (Session("fd00::9", 1, "fd00::1", 22), "[fd00::9]:1 -> [fd00::1]:22"),
    ],
)
def test_a_session_is_shown_as_flows_are(session, text):
    assert str(session) == text
