"""A set of policy on trial in the running daemon: what it cuts is told before, and whoever dies, it is rolled back."""

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from calicod.cli.client import Unreachable, request
from calicod.daemon.proposal import Document, Proposal
from calicod.ruleset.enforcement import decode
from tests.netns.node import Node, address, node
from tests.netns.running import CALICOD, Running, running_in, wait_for
from tests.netns.test_daemon import ALLOW, DENY, TcpFlow, endpoints, switch
from tests.netns.variants import USUAL

pytestmark = [pytest.mark.netns, pytest.mark.security, pytest.mark.slow]

PORT = 4700
CUTS = switch(f"{{action: Deny, protocol: TCP, destination: {{ports: [{PORT}]}}}}", ALLOW)
HOST_SSH = 4722


@pytest.fixture(scope="module")
def router() -> Iterator[Node]:
    with node("cd-a", USUAL) as built:
        yield built


@pytest.fixture
def daemon(router: Node, tmp_path: Path) -> Iterator[Running]:
    with running_in(router, tmp_path) as made:
        made.write(endpoints=endpoints(), switch=switch(ALLOW))
        made.start()
        yield made


@pytest.fixture
def live(daemon: Running) -> Iterator[TcpFlow]:
    """A connection that the sets of these tests cut."""
    with TcpFlow(daemon.router, "ext", "w1", 4, PORT) as flow:
        assert flow.forth(2.0)
        assert flow.back(2.0)
        yield flow


def proposed(daemon: Running, text: str = CUTS) -> Path:
    """The folder of a set: the endpoints, and this policy."""
    folder = daemon.folder / "proposed"
    folder.mkdir(exist_ok=True)
    (folder / "endpoints.yaml").write_text(endpoints())
    (folder / "switch.yaml").write_text(text)
    return folder


def apply(daemon: Running, *words: str, code: int = 0) -> dict[str, object]:
    """`calicod apply`, and its answer."""
    exit_code, shown, errors = daemon.run("apply", str(proposed(daemon)), "--json", *words)
    assert exit_code == code, errors
    answer: dict[str, object] = json.loads(shown)
    return answer


def works_again(flow: TcpFlow) -> bool:
    """Sends until a byte arrives: TCP itself waits longer and longer before it sends again."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if flow.forth(0.3):
            return True
    return False


def policy_text(daemon: Running) -> str:
    return (daemon.policies / "switch.yaml").read_text()


def test_a_live_connection_that_a_set_cuts_is_told_before_and_works_again_after_the_time(daemon, live):
    answer = apply(daemon, "--confirm-within", "5s")

    (cut,) = answer["prospect"]["cuts"]
    flow = cut["flow"]
    assert (flow["src_ip"], flow["dst_ip"], flow["dst_port"]) == (address("ext", 4), address("w1", 4), PORT)
    assert (flow["policy"]["name"], flow["policy"]["rule"]) == ("switch", 0)
    assert (cut["reason"], cut["policy"]["name"], cut["policy"]["rule"]) == ("rule", "switch", 0)
    assert not live.forth()
    assert not live.back()
    assert 0 < daemon.status().trial.seconds_left <= 5
    assert "DENIED" in daemon.run("explain", "--live", *packet())[1]

    assert works_again(live)
    assert daemon.status().trial is None
    assert policy_text(daemon) == switch(ALLOW)
    assert [e["reason"] for e in daemon.told("policy.rolled-back")] == ["not confirmed in time"]
    assert daemon.events("policy.tried")[0]["confirm_within_seconds"] == 5.0


def packet() -> tuple[str, ...]:
    return ("--src", address("ext", 4), "--dst", address("w1", 4), "--dport", str(PORT))


def test_a_dry_run_tells_the_same_and_changes_nothing(daemon, live):
    before = daemon.status()
    answer = apply(daemon, "--dry-run")

    assert (len(answer["prospect"]["cuts"]), answer["outcome"]) == (1, None)
    assert (daemon.status().revision, daemon.status().trial) == (before.revision, None)
    assert live.forth(2.0)


def test_a_supervisor_that_is_killed_leaves_the_deadline_to_its_successor(daemon, live):
    apply(daemon, "--confirm-within", "6s")
    assert not live.forth()
    supervisor = daemon.status().supervisor_pid
    os.kill(supervisor, signal.SIGKILL)
    status = daemon.until(lambda status: status.supervisor_pid != supervisor and status.healthy)

    assert 0 < status.trial.seconds_left < 6
    assert not live.forth()
    assert works_again(live)
    assert daemon.status().trial is None


def test_a_supervisor_that_is_killed_again_and_again_cannot_keep_a_trial_alive(daemon, live):
    apply(daemon, "--confirm-within", "5s")
    over = time.monotonic() + 6
    while time.monotonic() < over:
        with contextlib.suppress(Unreachable, ProcessLookupError):
            os.kill(daemon.status().supervisor_pid, signal.SIGKILL)
        time.sleep(0.4)
    daemon.until(lambda status: status.healthy)

    assert daemon.status().trial is None
    assert works_again(live)


def test_a_daemon_that_is_killed_comes_back_with_the_policy_files(daemon, live):
    apply(daemon, "--confirm-within", "1h")
    assert not live.forth()
    daemon.kill()
    daemon.start()

    assert daemon.status().trial is None
    assert works_again(live)
    assert "started anew" in str(daemon.told("policy.rolled-back")[0]["reason"])


def test_a_daemon_that_is_stopped_rolls_back_before_nobody_could(daemon, live):
    apply(daemon, "--confirm-within", "1h")
    assert not live.forth()
    assert daemon.stop() == 0

    assert works_again(live)  # by the kernel alone
    assert "stopped" in str(daemon.told("policy.rolled-back")[0]["reason"])
    daemon.start()
    assert daemon.status().trial is None


def test_an_apply_whose_terminal_dies_in_the_middle_leaves_a_trial_that_ends(daemon, live):
    words = (*CALICOD, "apply", str(proposed(daemon)), "--confirm-within", "5s", "--socket", str(daemon.socket))
    command = subprocess.Popen(("ip", "netns", "exec", daemon.router.name, *words), stdout=subprocess.DEVNULL)
    wait_for((daemon.folder / "state" / "trial").exists)
    command.kill()
    command.wait()

    daemon.told("policy.tried")
    assert works_again(live)
    assert daemon.status().trial is None


def test_a_confirmed_set_is_what_the_policy_files_hold_and_stays(daemon, live):
    apply(daemon, "--confirm-within", "60s")
    revision = daemon.status().revision
    code, shown, _ = daemon.run("confirm")

    assert (code, f"revision {revision}" in shown) == (0, True)  # nothing is judged again for it
    assert policy_text(daemon) == CUTS
    assert daemon.status().trial is None
    daemon.kill()
    daemon.start()
    assert not live.forth()

    assert daemon.run("rollback")[0] == 0
    assert policy_text(daemon) == switch(ALLOW)
    assert works_again(live)
    assert daemon.run("rollback")[0] == 0
    assert policy_text(daemon) == CUTS


ROUNDS = 12


def many(version: int) -> dict[str, str]:
    """A set of many files, by name."""
    rule = f"{{action: Allow, protocol: TCP, destination: {{ports: [{version}]}}}}"
    policies = {f"p{n}.yaml": switch(rule).replace("name: switch", f"name: v{version}-{n}") for n in range(25)}
    return {"endpoints.yaml": endpoints()} | policies


def in_force(daemon: Running) -> set[str]:
    """The versions of the policies that are enforced."""
    ruleset = decode(request(str(daemon.socket), "/enforcement")).ruleset
    return {policy.name.partition("-")[0] for policy in ruleset.policies if policy.name.startswith("v")}


def test_who_is_killed_while_a_set_is_confirmed_leaves_a_whole_one(daemon):
    """The supervisor, at any moment of applying and confirming: what is in force and in the files is one set, whole."""
    chance = random.Random(7)
    (daemon.policies / "switch.yaml").unlink()
    held = {1: many(1)}
    for name, text in held[1].items():
        (daemon.policies / name).write_text(text)
    daemon.until(lambda status: status.healthy and in_force(daemon) == {"v1"})
    confirmed = 0
    for version in range(2, ROUNDS + 2):
        held[version] = many(version)
        documents = tuple(Document(name, text) for name, text in held[version].items())
        body = msgspec.json.encode(Proposal(documents=documents, confirm_within=600.0))
        request(str(daemon.socket), "/apply", "POST", body)
        supervisor = daemon.status().supervisor_pid
        kill = threading.Timer(chance.uniform(0, 0.15), os.kill, (supervisor, signal.SIGKILL))
        kill.start()
        with contextlib.suppress(Unreachable):
            request(str(daemon.socket), "/confirm", "POST")
        kill.join()
        status = daemon.until(
            lambda status, old=supervisor: (
                status.supervisor_pid != old
                and status.healthy
                and (status.trial is None or status.trial.phase == "trial")
            )
        )
        if status.trial is not None:
            request(str(daemon.socket), "/rollback", "POST")
        found = {path.name: path.read_text() for path in daemon.policies.glob("*.yaml")}
        (whole,) = [number for number, texts in held.items() if texts == found]
        assert in_force(daemon) == {f"v{whole}"}
        confirmed += whole == version
        held = {whole: found}
    assert confirmed


def test_a_set_for_good_is_installed_at_once(daemon):
    (daemon.policies / "old.yaml").write_text(switch(ALLOW).replace("name: switch", "name: old"))
    answer = apply(daemon)

    assert (answer["outcome"]["done"], answer["outcome"]["trial"]) == ("applied", None)
    assert sorted(path.name for path in daemon.policies.iterdir()) == ["endpoints.yaml", "switch.yaml"]
    assert policy_text(daemon) == CUTS


def test_a_set_with_an_error_changes_nothing(daemon):
    before = daemon.status()
    code, shown, errors = daemon.run(
        "apply", str(proposed(daemon, switch("{action: Denny}"))), "--confirm-within", "9s"
    )

    assert (code, shown, "switch.yaml:9" in errors) == (1, "", True)
    assert (daemon.status().revision, daemon.status().trial) == (before.revision, None)


def test_of_two_sets_at_once_one_is_tried_and_the_other_refused(daemon):
    words = (*CALICOD, "apply", str(proposed(daemon)), "--confirm-within", "60s", "--socket", str(daemon.socket))
    space = ("ip", "netns", "exec", daemon.router.name)
    both = [subprocess.Popen((*space, *words), stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ended = sorted((process.wait(30), process.communicate()[1]) for process in both)

    assert [code for code, _ in ended] == [0, 1]
    assert "K050" in ended[1][1]
    assert daemon.status().trial is not None
    assert daemon.run("rollback")[0] == 0
    assert daemon.run("confirm")[0] == 1


def test_edits_during_a_trial_are_told_and_count_after_the_rollback(daemon):
    apply(daemon, "--confirm-within", "60s")
    edited = switch("{action: Deny, protocol: UDP}", ALLOW)
    daemon.write(switch=edited)
    status = daemon.until(lambda status: bool(status.trial and status.trial.edited))

    assert status.trial.edited == (str(daemon.policies / "switch.yaml"),)
    assert "DENIED" in daemon.run("explain", "--live", *packet())[1]
    assert daemon.run("rollback")[0] == 0
    assert "ALLOWED" in daemon.run("explain", "--live", *packet())[1]
    assert "DENIED" in daemon.run("explain", "--live", *packet(), "--protocol", "udp")[1]


def test_edits_during_a_trial_are_kept_when_it_is_confirmed(daemon):
    apply(daemon, "--confirm-within", "60s")
    daemon.write(switch=switch(DENY))
    code, shown, _ = daemon.run("confirm")

    assert (code, f"changed meanwhile: {daemon.policies / 'switch.yaml'}" in shown) == (0, True)
    assert policy_text(daemon) == CUTS
    assert daemon.run("rollback")[0] == 0
    assert policy_text(daemon) == switch(DENY)


@contextlib.contextmanager
def session(daemon: Running) -> Iterator[str]:
    """A connection to a port of the router, and SSH_CONNECTION as sshd would say it."""
    with TcpFlow(daemon.router, "ext", "node", 4, HOST_SSH) as flow:
        assert flow.forth(2.0)
        (here, port), (server, server_port) = flow.client.getsockname(), flow.client.getpeername()
        yield f"{here} {port} {server} {server_port}"


def test_the_session_of_the_operator_comes_first_and_is_not_cut_for_good(daemon, live, monkeypatch):
    for _ in range(20):
        assert live.forth(2.0)
    with session(daemon) as words:
        monkeypatch.setenv("SSH_CONNECTION", words)
        folder = str(proposed(daemon, switch(DENY)))
        code, shown, errors = daemon.run("apply", folder)
        told = shown.splitlines()

        assert (code, "would cut your own session" in errors) == (1, True)
        assert next(line for line in told if "your own session" in line).endswith("WOULD BE CUT")
        cuts = [line for line in told if line.startswith("  ")]
        assert cuts[0].startswith("  your own session: tcp") and f":{HOST_SSH}" in cuts[0]
        assert len(cuts) == 2
        assert daemon.status().trial is None
        assert daemon.run("apply", folder, "--confirm-within", "60s")[0] == 0
        assert daemon.run("rollback")[0] == 0


def test_a_session_that_nobody_tracks_yet_is_judged_all_the_same(router, tmp_path, monkeypatch):
    with running_in(router, tmp_path) as daemon:
        daemon.start()
        monkeypatch.setenv("SSH_CONNECTION", f"{address('ext', 4)} 50000 {address('ext', 4, node=True)} 4800")
        folder = str(proposed(daemon, switch(DENY)))
        answer = json.loads(daemon.run("apply", folder, "--dry-run", "--json")[1])

    (cut,) = answer["prospect"]["cuts"]
    assert (cut["session"], cut["flow"]["dst_port"], cut["flow"]["hook"]) == (True, 4800, "input")


def test_the_session_is_found_above_a_command_whose_environment_was_cleaned(daemon):
    with session(daemon) as words:
        script = f"env -u SSH_CONNECTION {' '.join(CALICOD[:1])} -c '{CALICOD[2]}' apply {proposed(daemon)} --dry-run"
        command = ("ip", "netns", "exec", daemon.router.name, "bash", "-c", f"{script}; true")
        env = {**os.environ, "CALICOD_SOCKET": str(daemon.socket), "SSH_CONNECTION": words}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)

    assert f"your own session {words.split()[0]}:" in done.stdout
    assert "stays" in done.stdout


def test_where_live_connections_are_kept_none_is_told_as_cut(router, tmp_path):
    with running_in(router, tmp_path, {"established": "keep"}) as daemon:
        daemon.write(endpoints=endpoints(), switch=switch(ALLOW))
        daemon.start()
        with TcpFlow(router, "ext", "w1", 4, PORT) as flow:
            assert flow.forth(2.0)
            answer = apply(daemon, "--confirm-within", "60s")

            assert answer["prospect"]["cuts"] == []
            assert flow.forth(2.0)
            assert flow.back(2.0)
        assert "DENIED" in daemon.run("explain", "--live", *packet())[1]
