import pytest

from calicod.daemon.pickup import TOLD_BYTES, Pickup
from calicod.model.verdict import Verdict
from tests.unit.daemon.test_judge import CLIENT, WORKLOAD, tcp

ACCEPT, DROP = Verdict.ACCEPT, Verdict.DROP
CALLING, SERVING = 50000, 80


class Bench:
    """A pickup whose two ways of judging answer as the test says, and tell that they were asked."""

    def __init__(self, *, seen: Verdict, turned: Verdict) -> None:
        self.asked: list[str] = []
        self.told: list[bytes] = []
        ways = {"seen": seen, "turned": turned}

        def way(name):
            def decide(*_):
                self.asked.append(name)
                return ways[name]

            return decide

        self.pickup = Pickup(way("seen"), way("turned"), lambda *_: turned is ACCEPT, self.told.append)

    def decide(self, sport: int, dport: int, payload: bytes = b"") -> Verdict:
        return self.pickup.decide(payload or tcp(CLIENT, WORKLOAD, sport, dport), 0, 2, 2, 3)


@pytest.mark.parametrize("verdict", [ACCEPT, DROP])
def test_what_a_caller_sends_is_judged_as_it_was_seen(verdict):
    bench = Bench(seen=verdict, turned=ACCEPT)

    assert bench.decide(CALLING, SERVING) is verdict
    assert (bench.asked, bench.told) == (["seen"], [])


@pytest.mark.parametrize("allowed", [ACCEPT, Verdict.SPARE])
def test_an_answer_that_may_be_given_is_dropped_and_its_connection_turned(allowed):
    bench = Bench(seen=DROP, turned=allowed)

    assert bench.decide(SERVING, CALLING) is DROP
    assert bench.asked == ["turned"]
    assert bench.told == [tcp(CLIENT, WORKLOAD, SERVING, CALLING)[:TOLD_BYTES]]


def test_an_answer_of_a_connection_that_is_refused_is_refused_though_its_sender_might_call():
    bench = Bench(seen=ACCEPT, turned=DROP)

    assert bench.decide(SERVING, CALLING) is DROP
    assert (bench.asked, bench.told) == (["turned"], [])


@pytest.mark.parametrize(
    ("seen", "turned", "verdict", "asked"),
    [(ACCEPT, ACCEPT, ACCEPT, "seen"), (ACCEPT, DROP, DROP, "turned"), (DROP, ACCEPT, DROP, "seen")],
)
def test_where_ports_leave_it_open_both_must_be_allowed_and_one_is_told(seen, turned, verdict, asked):
    bench = Bench(seen=seen, turned=turned)

    assert bench.decide(CALLING, CALLING + 1) is verdict
    assert (bench.asked, bench.told) == ([asked], [])


def test_what_cannot_be_read_is_left_to_the_judge():
    bench = Bench(seen=DROP, turned=ACCEPT)

    assert bench.decide(0, 0, b"\x45") is DROP
    assert bench.asked == ["seen"]
