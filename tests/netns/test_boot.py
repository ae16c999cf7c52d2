"""Boot protection: what the daemon saved closes a host before it runs, and it takes over without a gap."""

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from calicod.daemon.enforcer import STEERED_FILE, Steered, recalled
from calicod.daemon.generation import next_generation
from calicod.model.marks import layout
from tests.kernel import needs_kernel
from tests.netns.node import FAMILIES, Node, UdpFlow, node, ping, tcp
from tests.netns.running import CALICOD, Running, running_in, wait_for
from tests.netns.test_daemon import ALLOW, DENY, TcpFlow, endpoints, switch
from tests.netns.test_steering_guards import flush_neighbours
from tests.netns.world import inside, world

pytestmark = [pytest.mark.netns, pytest.mark.security]
ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "systemd" / "calicod-boot"
WITHOUT_IPV6 = Path(__file__).parent / "without_ipv6.sh"
BLOCKED = "{action: Deny, protocol: UDP, destination: {ports: [9]}}"


@pytest.fixture(scope="module", params=["iptables-nft", "iptables-legacy"])
def router(request: pytest.FixtureRequest) -> Iterator[Node]:
    needs_kernel(request.param)
    with node("cd-bo", request.param) as built:
        yield built


@pytest.fixture
def daemon(router: Node, tmp_path: Path) -> Iterator[Running]:
    """A daemon that has run until the host went down: its state is there, nothing else is."""
    with running_in(router, tmp_path) as made:
        made.write(endpoints=endpoints(), switch=switch(BLOCKED, ALLOW))
        made.start()
        made.kill()
        reboot(router, made)
        yield made


def reboot(router: Node, daemon: Running) -> None:
    """What is in memory is gone: rules, connections, the run directory."""
    with inside(router.name):
        router.installer.remove()
    router.forget()
    shutil.rmtree(daemon.folder / "run", ignore_errors=True)


def boot(namespace: str, daemon: Running, *before: str) -> subprocess.CompletedProcess[str]:
    """What the unit runs; `before`: words before it."""
    program = daemon.folder / "calicod"
    program.write_text(f"#!/bin/sh\nexec '{CALICOD[0]}' -c '{CALICOD[2]}' \"$@\"\n")
    program.chmod(0o755)
    env = {
        **os.environ,
        "CALICOD_STATE": str(daemon.folder / "state"),
        "CALICOD_PROGRAM": str(program),
        "CALICOD_CONFIG": str(daemon.config),
    }
    command = ("ip", "netns", "exec", namespace, *before, "sh", str(SCRIPT))
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)


def test_what_was_saved_is_the_steering_last_in_force_rule_for_rule_and_needs_no_interface(
    router: Node, daemon: Running
):
    daemon.start()
    steered = recalled(daemon.folder / "run" / STEERED_FILE, Steered)
    assert steered is not None
    daemon.kill()
    with inside(router.name):
        router.installer.remove()
        router.installer.install(replace(steered.steering, generation=0))
    installed = router.save()

    with world("cd-fr", ["esh"]) as made:
        fresh = made.namespaces[0]
        done = boot(fresh, daemon)
        shown = router.save(fresh)

    assert (done.returncode, done.stderr) == (0, "")
    assert set(installed.splitlines()) == set(shown.splitlines())
    assert "-i eth0" in shown


def test_between_boot_and_the_daemon_only_failsafes_and_discovery_pass(router: Node, daemon: Running):
    for family in FAMILIES:
        assert tcp(router, "ext", "node", family, 8000)
    done = boot(router.name, daemon)
    flush_neighbours(router)

    assert done.returncode == 0, done.stderr
    for family in FAMILIES:
        assert tcp(router, "ext", "node", family, 22)
        for client, server in (
            ("ext", "node"),
            ("node", "ext"),
            ("ext", "w1"),
            ("w1", "ext"),
            ("w1", "w2"),
            ("w1", "node"),
        ):
            assert not tcp(router, client, server, family, 8000, patience=0.15)
            with UdpFlow(router, client, server, family, 8001) as flow:
                assert not flow.forth()
        assert not ping(router, "ext", "node", family)
        assert ping(router, "far", "node", family), "what is not managed stays as it was"


def test_the_daemon_takes_over_and_nothing_passes_unjudged_and_no_failsafe_flow_breaks(router: Node, daemon: Running):
    assert boot(router.name, daemon).returncode == 0
    with contextlib.ExitStack() as stack:
        ssh = [stack.enter_context(TcpFlow(router, "ext", "node", family, 22)) for family in FAMILIES]
        refused = [
            stack.enter_context(UdpFlow(router, client, server, family, 9))
            for family in FAMILIES
            for client, server in (("ext", "node"), ("ext", "w1"), ("w1", "w2"), ("w1", "node"))
        ]
        with sending(refused):
            daemon.start()
            assert all(flow.forth(2.0) and flow.back(2.0) for flow in ssh)
            assert all(tcp(router, "ext", "w1", family, 8000) for family in FAMILIES)
            time.sleep(0.3)
        passed = [flow for flow in refused if flow.forth()]

    assert passed == []
    assert daemon.status().generation == next_generation(0, layout())
    assert daemon.events("steering.reset") == []


@contextlib.contextmanager
def sending(flows: list[UdpFlow]) -> Iterator[None]:
    """Each flow's client sends all the while, each millisecond."""
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(0.001):
            for flow in flows:
                with contextlib.suppress(OSError):
                    flow.client.send(b"x")

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_what_the_host_sends_its_workloads_at_boot_lives_on(router: Node, daemon: Running):
    boot(router.name, daemon)
    with contextlib.ExitStack() as stack:
        flows = [stack.enter_context(UdpFlow(router, "node", "w1", family, 8003)) for family in FAMILIES]
        assert all(flow.trips() for flow in flows)
        daemon.start()

        assert all(flow.trips() for flow in flows)


def test_a_daemon_that_cannot_start_leaves_it_closed_but_for_failsafes(router: Node, daemon: Running):
    boot(router.name, daemon)
    daemon.config.write_text("workers: none\n")
    code, _, _ = daemon.run("run", "--config", str(daemon.config))

    assert code == 1
    for family in FAMILIES:
        assert tcp(router, "ext", "node", family, 22)
        assert not tcp(router, "ext", "node", family, 8000, patience=0.15)


@pytest.mark.parametrize("tables", [0, 1, 2])
def test_a_file_that_was_cut_off_is_not_said_to_close_anything(router: Node, daemon: Running, tables: int):
    file = next((daemon.folder / "state" / "boot").glob("iptables-*"))
    parts = file.read_text().split("COMMIT\n")
    file.write_text("".join(f"{part}COMMIT\n" for part in parts[:tables]))
    done = boot(router.name, daemon)

    assert (done.returncode, "IPv4: closed" in done.stdout) == (1, False)
    assert f"did not take {file}" in done.stderr
    assert "IPv6: closed" in done.stdout


def test_what_is_there_already_stays(router: Node, daemon: Running):
    daemon.start()
    before = router.save()
    done = boot(router.name, daemon)

    assert (done.returncode, done.stdout.count("are there already")) == (0, 2)
    assert router.save() == before


def test_a_new_rule_changes_nothing_for_the_next_boot_and_a_new_endpoint_does(router: Node, daemon: Running):
    folder = daemon.folder / "state" / "boot"
    before = saved(folder)
    daemon.start()
    daemon.change(switch=switch(DENY))
    same = saved(folder)
    daemon.write(
        more="{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: far}, "
        "spec: {node: node, interfaceName: eth1}}"
    )
    wait_for(lambda: all("-i eth1 -g" in text for text in saved(folder).values()))

    variant = router.setting.removeprefix("iptables-")
    assert sorted(before) == [f"ip6tables-{variant}-restore", f"iptables-{variant}-restore"]
    assert same == before


def saved(folder: Path) -> dict[str, str]:
    """The files of the next boot."""
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_kernel_without_ipv6_loads_the_rest(router: Node, daemon: Running, tmp_path: Path):
    words = ("unshare", "--mount", "--propagation", "private", "sh", str(WITHOUT_IPV6), str(tmp_path / "proc"))
    done = boot(router.name, daemon, *words)

    assert (done.returncode, done.stderr) == (0, "")
    assert "IPv6" not in done.stdout
    assert not tcp(router, "ext", "node", 4, 8000, patience=0.15)


def test_a_family_that_was_not_saved_is_told_and_the_other_loaded(router: Node, daemon: Running):
    next((daemon.folder / "state" / "boot").glob("ip6*")).unlink()
    done = boot(router.name, daemon)

    assert (done.returncode, "IPv6: no rules were saved" in done.stderr) == (1, True)
    assert not tcp(router, "ext", "node", 4, 8000, patience=0.15)
    assert tcp(router, "ext", "node", 6, 8000)


def test_a_damaged_file_is_told_and_the_other_loaded(router: Node, daemon: Running):
    next((daemon.folder / "state" / "boot").glob("iptables*")).write_text("*filter\nnonsense\nCOMMIT\n")
    done = boot(router.name, daemon)

    assert (done.returncode, "IPv4: " in done.stderr) == (1, True)
    assert not tcp(router, "ext", "node", 6, 8000, patience=0.15)


def test_what_was_saved_for_nft_is_given_to_nft_unless_its_table_is_there(router: Node, daemon: Running):
    """Whether this kernel takes the whole of it is for tests/netns/test_nft.py to try."""
    shutil.rmtree(daemon.folder / "state" / "boot")
    (daemon.folder / "state" / "boot").mkdir()
    (daemon.folder / "state" / "boot" / "nft").write_text("table inet calicod {\n\tchain one {\n\t}\n}\n")
    with world("cd-nf", ["t"]) as made:
        fresh = made.namespaces[0]
        done, again = boot(fresh, daemon), boot(fresh, daemon)
        shown = made.run(fresh, "nft", "list", "table", "inet", "calicod")

    assert (done.returncode, again.returncode, done.stderr + again.stderr) == (0, 0, "")
    assert ("until the daemon judges" in done.stdout, "are there already" in again.stdout) == (True, True)
    assert "chain one" in shown


def test_the_first_boot_closes_what_the_configuration_manages(router: Node, daemon: Running):
    shutil.rmtree(daemon.folder / "state")
    done = boot(router.name, daemon)

    assert done.returncode == 0, done.stderr
    assert "closed but for failsafe ports" in done.stdout
    for family in FAMILIES:
        assert tcp(router, "ext", "node", family, 22)
        assert not tcp(router, "ext", "node", family, 8000, patience=0.15)


def test_the_way_out_without_python_that_the_documentation_tells_opens_and_leaves_others(router: Node, daemon: Running):
    page = (ROOT / "docs" / "operations.md").read_text()
    (line,) = [line.strip() for line in page.splitlines() if "grep -v calicod-" in line]
    router.iptables(4, "-A", "INPUT", "-p", "tcp", "--dport", "8004", "-j", "DROP")
    boot(router.name, daemon)
    router.world.run(router.name, "sh", "-c", line)

    assert "calicod" not in router.save()
    for family in FAMILIES:
        assert tcp(router, "ext", "node", family, 8000)
    assert not tcp(router, "ext", "node", 4, 8004, patience=0.15)
    router.iptables(4, "-F", "INPUT")


def test_after_teardown_the_next_boot_starts_with_nothing_saved(router: Node, daemon: Running):
    boot(router.name, daemon)
    code, _, _ = daemon.run("teardown", "--config", str(daemon.config))

    assert code == 0
    assert "calicod" not in router.save()
    assert not (daemon.folder / "state" / "boot").exists()
    assert tcp(router, "ext", "node", 4, 8000)


def test_it_is_plain_sh() -> None:
    assert subprocess.run(["sh", "-n", str(SCRIPT)], check=False).returncode == 0
    assert sys.executable not in SCRIPT.read_text()
