"""`calicod doctor` beside real rules, real queues and a real daemon."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from calicod.cli.doctor.table import CHECKS
from tests.kernel import needs_kernel
from tests.netns.judge import Judge
from tests.netns.node import Node, node
from tests.netns.running import CALICOD, Running, running_in
from tests.netns.test_daemon import ALLOW, endpoints, switch
from tests.netns.variants import IPTABLES, needs_variant
from tests.netns.world import run

pytestmark = [pytest.mark.netns, pytest.mark.security]


@pytest.fixture(params=IPTABLES)
def router(request: pytest.FixtureRequest) -> Iterator[Node]:
    needs_variant(request.param)
    with node("cd-o", request.param) as built:
        yield built


@pytest.fixture
def daemon(router: Node, tmp_path: Path) -> Iterator[Running]:
    with running_in(router, tmp_path) as made:
        made.write(endpoints=endpoints(), switch=switch(ALLOW))
        yield made


def visit(daemon: Running) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """The exit code, and what each check found."""
    code, told, errors = daemon.run("doctor", "--config", str(daemon.config), "--json")
    assert not errors
    found: dict[str, list[dict[str, str]]] = {name: [] for name in CHECKS}
    for finding in json.loads(told)["findings"]:
        found[finding["check"]].append(finding)
    return code, found


def states(found: dict[str, list[dict[str, str]]], state: str) -> set[str]:
    return {finding["check"] for told in found.values() for finding in told if finding["state"] == state}


def test_beside_a_daemon_that_works_nothing_fails_and_nothing_is_disturbed(router: Node, daemon: Running):
    daemon.start()
    before = router.save()

    code, found = visit(daemon)

    assert (code, states(found, "fail")) == (0, set())
    assert "is healthy" in found["daemon"][0]["message"]
    assert found["queue-numbers"][0]["message"] == "queues 5200-5201 are calicod's"
    assert found["steering"][0]["message"].startswith(router.setting)
    assert found["managed"][0]["message"] == "node node manages eth0, cali*"
    assert router.save() == before
    assert daemon.status().healthy
    assert daemon.events("steering.reset") == []


def test_before_the_first_start_what_would_make_it_fail_is_named_with_its_owner(router: Node, daemon: Running):
    router.iptables(4, "-t", "mangle", "-A", "OUTPUT", "-j", "CONNMARK", "--save-mark")
    reader = Judge(router.name, (5201,))
    try:
        code, found = visit(daemon)
    finally:
        reader.close()

    assert (code, states(found, "fail")) == (1, {"marks", "queue-numbers"})
    assert "-A OUTPUT -j CONNMARK --save-mark" in found["marks"][0]["message"]
    assert "queue 5201 is read by process" in found["queue-numbers"][0]["message"]
    assert "trial" not in router.save()


def test_what_it_calls_a_failure_the_daemon_refuses_too(router: Node, daemon: Running):
    router.iptables(6, "-A", "INPUT", "-j", "NFQUEUE", "--queue-num", "5200")
    doctor, _ = visit(daemon)
    refused, _, errors = daemon.run("run", "--config", str(daemon.config))

    assert (doctor, refused) == (1, 4)
    assert "K015" in errors


def test_a_prefix_that_covers_a_nic_and_a_port_of_a_bridge_are_told_before_they_close_or_open(
    router: Node, daemon: Running
):
    needs_kernel("bridges")
    daemon.write(prefix=endpoints().replace("workloadSourceSpoofing: Any", "interfacePrefix: 'cali,eth1'"))
    (daemon.policies / "endpoints.yaml").unlink()
    run("ip", "-n", router.name, "link", "add", "br0", "type", "bridge")
    run("ip", "-n", router.name, "link", "set", "eth0", "master", "br0")

    code, found = visit(daemon)

    assert (code, states(found, "fail")) == (1, {"interface-prefix"})
    assert "covers eth1" in found["interface-prefix"][0]["message"]
    assert "eth0 belongs to br0 (bridge)" in found["reach"][0]["message"]


def test_without_the_permission_it_exits_4(router: Node):
    done = subprocess.run(
        ["ip", "netns", "exec", router.name, "setpriv", "--bounding-set=-net_admin", *CALICOD, "doctor"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, "K010" in done.stderr) == (4, True)
