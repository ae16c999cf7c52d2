import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from calicod.cli.client import request
from calicod.daemon import patrol
from calicod.daemon import supervisor as module
from calicod.daemon.door import SOCKET_NAME
from calicod.daemon.proposal import Document
from calicod.daemon.resumption import NOTE_FILE, resumes
from calicod.daemon.shelf import Shelf
from calicod.daemon.sources import Instead
from calicod.datastore.files import Text
from calicod.errors import CalicodError
from calicod.model.record import Ready, SupervisorDied, Swap, WorkerDied
from calicod.model.steering import Steering
from calicod.netfilter.memory import MemoryInstaller
from tests.unit.daemon.control_plane import POLICY, ControlPlane, namespace

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module", autouse=True)
def apart() -> Iterator[None]:
    with namespace():
        subprocess.run(["ip", "link", "add", "eth7", "type", "veth", "peer", "name", "eth8"], check=True)
        yield


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)


@pytest.fixture
def plane(tmp_path) -> ControlPlane:
    made = ControlPlane(tmp_path)
    made.write()
    return made


@contextmanager
def foreign_rule() -> Iterator[None]:
    """A rule of another program that takes our queue."""
    rule = ("INPUT", "-j", "NFQUEUE", "--queue-num", "5200")
    subprocess.run(["iptables-nft", "-A", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables-nft", "-D", *rule], check=True)


class Failing(MemoryInstaller):
    """Fails as often as it is told to."""

    failures = 0

    def install(self, steering: Steering) -> None:
        if self.failures:
            self.failures -= 1
            raise CalicodError("K013", "the lock is held")
        super().install(steering)


def test_it_is_ready_only_when_every_worker_and_the_kernel_have_the_policy(plane, monkeypatch, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        async def begin() -> None:
            plane.silent = True
            async with plane.running():
                await plane.until(lambda: plane.swaps)
                assert (plane.status().state, plane.installer.installed) == ("starting", [])
                with pytest.raises(BlockingIOError):
                    systemd.recv(100)
                plane.silent = False
                plane.supervisor.workers.send(0, Swap(plane.swaps[-1]))
                await plane.healthy()
                assert systemd.recv(100).startswith(b"READY=1")

        asyncio.run(begin())

    assert [message for message in plane.keeper.messages() if isinstance(message, Ready)]
    assert plane.result == 0


def test_who_asks_is_answered_though_nobody_judges_yet_and_the_socket_goes_with_the_daemon(plane, monkeypatch):
    monkeypatch.setattr(module, "SOURCES_SECONDS", 0.1)
    plane.silent = True
    path = plane.settings.run_directory / SOCKET_NAME

    async def ask() -> bytes:
        async with plane.running():
            await plane.until(path.exists)
            answer = await asyncio.to_thread(request, str(path), "/status")
            plane.silent = False
            plane.supervisor.workers.send(0, Swap(plane.swaps[-1]))
            return answer

    assert json.loads(asyncio.run(ask()))["healthy"] is False
    assert not path.exists()


def test_a_changed_file_is_in_force_by_itself(plane):
    async def change() -> None:
        async with plane.running():
            generation = (await plane.healthy()).generation
            plane.write("Deny")
            await plane.until(lambda: plane.status().generation == generation + 1)

    asyncio.run(change())

    assert [event["rejudged"] for event in plane.events("policy.applied")] == [True, True]


def test_sighup_reads_everything_again(plane):
    async def change() -> None:
        async with plane.running():
            await plane.healthy()
            reads = []
            read = plane.supervisor.sources.read
            plane.supervisor.sources.read = lambda: reads.append(1) or read()
            os.kill(os.getpid(), signal.SIGHUP)
            await plane.until(lambda: reads)

    asyncio.run(change())

    assert len(plane.swaps) == 1


def test_what_fails_is_told_tried_again_and_mended(tmp_path):
    installer = Failing()
    plane = ControlPlane(tmp_path, installer=installer)
    plane.write()

    async def change() -> None:
        async with plane.running():
            await plane.healthy()
            installer.failures = 2
            plane.write("Deny")
            await plane.until(lambda: plane.events("daemon.recovered"))

    asyncio.run(change())

    assert "the lock is held" in str(plane.events("daemon.degraded")[0]["reasons"])
    assert plane.installer.steering.generation == 2


def test_a_reload_waits_for_what_it_asked_for_and_tells_what_was_rejected(plane):
    async def change() -> tuple[object, object]:
        async with plane.running():
            await plane.healthy()
            plane.write("Deny")
            good = await plane.supervisor.answers.reload()
            plane.write("Deni")
            return good, await plane.supervisor.answers.reload()

    good, bad = asyncio.run(change())

    assert (good.generation, good.rejected, good.error) == (2, (), "")
    assert (bad.generation, [d.name for d in bad.rejected]) == (2, ["web"])


def test_a_rule_that_takes_our_queue_is_refused_before_anything_is_installed(plane):
    async def begin() -> None:
        async with plane.running():
            await asyncio.sleep(5)

    with foreign_rule(), pytest.raises((CalicodError, TimeoutError)) as caught:
        asyncio.run(asyncio.wait_for(begin(), 1.0))

    assert "K015" in str(caught.value)
    assert (plane.installer.installed, plane.swaps) == ([], [])


def test_a_foreign_rule_that_comes_later_is_told_and_ours_stay_in_force(plane, monkeypatch):
    monkeypatch.setattr(patrol, "OTHERS_ROUNDS", 1)

    async def run() -> None:
        async with plane.running():
            await plane.healthy()
            with foreign_rule():
                await plane.until(lambda: plane.events("daemon.degraded"))
            await plane.until(lambda: plane.events("daemon.recovered"))

    asyncio.run(run())

    assert "K015" in str(plane.events("daemon.degraded")[0]["reasons"])
    assert [steering.generation for steering in plane.installer.installed] == [1]


def test_a_successor_tells_of_the_death_before_it_and_does_not_begin_anew(plane):
    plane.keeper.send(SupervisorDied(77, -9, "killed by SIGKILL"))

    async def begin() -> tuple[str, ...]:
        async with plane.running():
            await plane.until(lambda: plane.events("policy.applied"))
            return plane.status().reasons

    with foreign_rule():
        reasons = asyncio.run(begin())

    assert [event["how"] for event in plane.events("daemon.supervisor-died")] == ["killed by SIGKILL"]
    assert plane.events("daemon.started") == []
    assert ["K015" in reason for reason in reasons] == [True]


def test_without_a_log_group_nothing_is_logged(plane):
    async def begin() -> int | None:
        async with plane.running():
            await plane.healthy()
            return plane.supervisor.enforcer.steering.log_group

    assert asyncio.run(begin()) is None


def test_a_successor_tells_no_endpoint_up_that_its_predecessor_told(plane, tmp_path):
    async def begin(one: ControlPlane) -> None:
        async with one.running():
            await one.healthy()

    asyncio.run(begin(plane))
    successor = ControlPlane(tmp_path, installer=plane.installer)
    successor.keeper.send(SupervisorDied(77, -9, "killed by SIGKILL"))
    asyncio.run(begin(successor))

    assert sorted(event["interface"] for event in plane.events("endpoint.up")) == ["eth7", "eth8"]
    assert successor.events("endpoint.up") == []


def test_policy_that_is_not_read_in_time_leaves_the_last_one_in_force_until_it_is(plane, tmp_path, monkeypatch):
    async def begin(one: ControlPlane) -> None:
        async with one.running():
            await one.healthy()

    asyncio.run(begin(plane))
    monkeypatch.setattr(module, "SOURCES_SECONDS", 0.0)
    successor = ControlPlane(tmp_path, installer=plane.installer)
    asyncio.run(begin(successor))

    assert (plane.swaps, successor.swaps) == ([1], [1, 2])


def test_the_next_daemon_goes_on_with_what_is_in_force_and_with_nothing_else(tmp_path):
    installer = Failing()
    plane = ControlPlane(tmp_path, installer=installer)
    plane.write()
    found = {}

    async def change() -> None:
        async with plane.running():
            await plane.healthy()
            found["in force"] = resumes(plane.settings)
            plane.supervisor.sources.held = Instead((Text("x.yaml", POLICY.format(action="Deny").encode()),))
            await plane.supervisor.reload()
            found["on trial"] = resumes(plane.settings)
            plane.supervisor.sources.held = None
            await plane.supervisor.reload()
            found["rolled back"] = resumes(plane.settings)
            installer.failures = 1000
            plane.write("Deny")
            await plane.until(lambda: plane.supervisor.failure)
            found["not installed"] = resumes(plane.settings)
            installer.failures = 0
            await plane.until(lambda: not plane.supervisor.failure)
            found["mended"] = resumes(plane.settings)

    asyncio.run(change())

    assert found == {
        "in force": True,
        "on trial": False,
        "rolled back": True,
        "not installed": False,
        "mended": True,
    }


def test_a_successor_that_finds_all_as_it_was_leaves_the_next_one_what_to_go_on_with(tmp_path):
    installer = Failing()
    plane, successor = (ControlPlane(tmp_path, installer=installer) for _ in range(2))
    plane.write()
    found = []

    async def change() -> None:
        async with plane.running():
            await plane.healthy()
        installer.failures = 1000
        async with successor.running():
            await successor.until(lambda: successor.supervisor.failure)
            found.append(resumes(plane.settings))
            plane.write("Deny")
            await successor.until(lambda: len(successor.swaps) > 1)
            plane.write()
            await successor.until(lambda: len(successor.swaps) > 3)
            found.append(resumes(plane.settings))

    asyncio.run(change())

    assert found == [True, False]


def test_policy_that_cannot_be_read_is_not_what_the_next_daemon_goes_on_with(plane, monkeypatch):
    monkeypatch.setattr(module, "RETRY_SECONDS", 60.0)

    def refuse() -> None:
        raise CalicodError("K013", "it cannot be read")

    async def change() -> None:
        async with plane.running():
            await plane.healthy()
            plane.supervisor.sources.read = refuse
            plane.write("Deny")
            await plane.until(lambda: plane.supervisor.failure)
            await plane.supervisor.changes.ask_and_wait(reread=False)

    asyncio.run(change())

    assert not resumes(plane.settings)


def test_who_is_told_that_policy_is_in_force_finds_the_note(plane):
    found = []

    async def begin() -> None:
        async with plane.running():
            remember = plane.supervisor.resumption.remember

            def watched(interfaces: object) -> None:
                remember(interfaces)
                found.append((plane.status().state, resumes(plane.settings)))

            plane.supervisor.resumption.remember = watched
            await plane.healthy()

    asyncio.run(begin())

    assert found[0] == ("starting", True)


def test_a_daemon_that_lives_gives_a_sign(plane):
    note = plane.settings.run_directory / NOTE_FILE

    async def change() -> None:
        async with plane.running():
            await plane.healthy()
            await plane.until(note.exists)  # it is saved only then
            os.utime(note, (1, 1))
            await plane.until(lambda: note.stat().st_mtime > 1)

    asyncio.run(change())

    assert resumes(plane.settings)


def test_a_worker_that_was_replaced_is_told_and_waited_for(plane):
    async def change() -> None:
        async with plane.running():
            await plane.healthy()
            plane.keeper.send(WorkerDied(0, 4242, -9, "killed by SIGKILL"))
            await plane.until(lambda: plane.events("daemon.worker-died"))
            assert plane.status().reasons == ("worker 0 does not judge by the newest revision yet",)

    asyncio.run(change())

    assert plane.status().workers[0].replaced == 1


def test_without_its_keeper_it_ends(plane):
    async def change() -> None:
        async with plane.running():
            await plane.healthy()
            plane.keeper.close()
            await asyncio.wait_for(plane.supervisor.stopping.wait(), 5)

    asyncio.run(change())

    assert plane.result == 0
    assert [event["reason"] for event in plane.events("daemon.stopped")] == ["its main process is gone"]


def test_without_its_keeper_it_leaves_a_trial_to_whoever_is_started_next(plane):
    """The kernel kills it in the middle of what it begins: the record would be gone, and nobody would tell of it."""

    async def change() -> None:
        async with plane.running():
            await plane.healthy()
            await plane.supervisor.trials.apply((Document("a.yaml", POLICY.format(action="Deny")),), 3600.0)
            plane.keeper.close()
            await asyncio.wait_for(plane.supervisor.stopping.wait(), 5)

    asyncio.run(change())

    assert plane.supervisor.trials.trying
    assert plane.events("policy.rolled-back") == []
    assert Shelf(plane.settings.state_directory).held() is not None


def test_rules_that_another_program_removed_are_put_back_and_told(plane):
    async def change() -> None:
        async with plane.running():
            await plane.healthy()
            plane.installer.missing = ("filter INPUT: the jump is gone",)
            await plane.until(lambda: plane.events("steering.reset"))

    asyncio.run(change())

    (told,) = plane.events("steering.reset")
    assert (told["missing"], told["restored"]) == (["filter INPUT: the jump is gone"], True)
    assert plane.installer.missing == ()


def test_another_failure_mode_than_before_is_told(plane, tmp_path):
    async def begin(one: ControlPlane) -> None:
        async with one.running():
            await one.healthy()

    asyncio.run(begin(plane))
    successor = ControlPlane(tmp_path, installer=plane.installer, failure_mode="open")
    asyncio.run(begin(successor))

    told = [(event["old"], event["new"]) for event in successor.events("daemon.failure-mode-changed")]
    assert told == [("closed", "open")]
    assert plane.events("daemon.failure-mode-changed") == []


def test_the_watchdog_hears_from_it(plane, monkeypatch, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "100000")

        async def begin() -> None:
            async with plane.running():
                await plane.healthy()

        asyncio.run(begin())
        heard = []
        while not heard or not heard[-1].startswith(b"STOPPING"):
            heard.append(systemd.recv(100))

    assert b"WATCHDOG=1" in heard


def test_the_end_is_told_and_the_rules_stay(plane):
    async def begin() -> None:
        async with plane.running():
            await plane.healthy()

    asyncio.run(begin())

    assert [event["reason"] for event in plane.events("daemon.stopped")] == ["asked to stop"]
    assert plane.installer.steering is not None


def test_a_control_socket_that_cannot_be_served_ends_no_daemon_and_is_tried_again(plane, monkeypatch):
    monkeypatch.setitem(sys.modules, "calicod.daemon.control", None)  # as if it could not be imported
    path = plane.settings.run_directory / SOCKET_NAME

    async def serve() -> bytes:
        async with plane.running():
            await plane.until(lambda: plane.events("daemon.degraded"))
            assert "the control socket cannot be served: ModuleNotFoundError" in str(plane.status().reasons)
            monkeypatch.undo()
            await plane.healthy()
            return await asyncio.to_thread(request, str(path), "/status")

    assert json.loads(asyncio.run(serve()))["healthy"] is True
