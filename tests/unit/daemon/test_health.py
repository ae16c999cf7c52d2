from calicod.daemon.health import DEGRADED, HEALTHY, STARTING, Facts, Health, reasons
from calicod.errors import Diagnostic
from calicod.model.event import DaemonDegraded, DaemonRecovered

WRONG = Diagnostic(
    code="R005", message="ports need a protocol", file="web.yaml", line=3, column=5, kind="NetworkPolicy"
)


def facts(*, ready: bool = True, failure: str = "", rejected: tuple[Diagnostic, ...] = ()) -> Facts:
    return Facts(ready=ready, failure=failure, rejected=rejected, late=())


def test_a_daemon_without_a_rule_set_is_starting():
    health = Health()

    assert health.judge(facts(ready=False)) is None
    assert health.state == STARTING


def test_a_rejected_resource_degrades_and_names_its_place():
    health = Health()

    event = health.judge(facts(rejected=(WRONG,)))

    assert isinstance(event, DaemonDegraded)
    assert "web.yaml:3:5: R005" in event.reasons[0]
    assert health.state == DEGRADED


def test_the_same_reasons_are_told_once():
    health = Health()
    health.judge(facts(failure="no"))

    assert health.judge(facts(failure="no")) is None


def test_the_end_of_every_reason_is_told():
    health = Health()
    health.judge(facts(failure="no"))

    assert isinstance(health.judge(facts()), DaemonRecovered)
    assert health.state == HEALTHY


def test_a_healthy_start_is_not_told():
    assert Health().judge(facts()) is None


def test_what_is_wrong_in_the_kernel_is_a_reason():
    health = Health()
    wrong = Facts(
        ready=True, failure="", rejected=(), late=(1,), unsteered="rules vanish", clash="K015 takes our queue"
    )

    event = health.judge(wrong)

    assert event == DaemonDegraded(
        reasons=("worker 1 does not judge by the newest revision yet", "rules vanish", "K015 takes our queue")
    )


def test_several_findings_of_one_resource_count_as_one_resource():
    other = Diagnostic(code="R006", message="no such key", file="web.yaml", line=4, kind="NetworkPolicy")

    assert reasons(facts(rejected=(WRONG, other)))[0].startswith("1 resource is rejected: web.yaml:3:5")


def test_paths_that_cannot_be_read_are_counted_apart_from_resources():
    missing = Diagnostic(code="Y019", message="no such file or directory", file="/etc/calicod/policies.d")
    broken = Diagnostic(code="Y001", message="not YAML", file="a.yaml", line=1)

    assert reasons(facts(rejected=(missing,))) == (
        "1 path cannot be read: /etc/calicod/policies.d: Y019 no such file or directory",
    )
    assert reasons(facts(rejected=(WRONG, missing, broken)))[0].startswith(
        "1 resource is rejected, 2 paths cannot be read"
    )


def test_a_worker_that_hangs_is_a_reason():
    hanging = Facts(ready=True, failure="", rejected=(), late=(), silent=(1,))

    assert reasons(hanging) == ("worker 1 does not answer: the packets of its queues wait",)


def test_an_interface_that_policy_does_not_reach_is_a_reason():
    unreached = Facts(ready=True, failure="", rejected=(), late=(), unprotected=("interface eth0 belongs to br0",))

    assert reasons(unreached) == ("interface eth0 belongs to br0",)


def test_a_set_that_is_not_among_the_policy_files_yet_is_a_reason():
    stuck = Facts(ready=True, failure="", rejected=(), late=(), uninstalled="the applied set cannot be written")

    assert reasons(stuck) == ("the applied set cannot be written",)


def test_a_control_socket_that_is_not_served_is_a_reason():
    unserved = Facts(ready=True, failure="", rejected=(), late=(), unserved="the control socket cannot be served: x")

    assert reasons(unserved) == ("the control socket cannot be served: x",)
