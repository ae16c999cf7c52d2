import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from calicod.daemon import standin, workers
from calicod.daemon.standin import STAY_SECONDS, Account, StandIn
from calicod.daemon.totals import Totals

ACCOUNT = Account(
    Totals(judged=5, denied=4, malformed=3, failed=2, last_failure="KeyError: 7", described_at=1.5),
    records_lost=1,
    lost_untold=1,
)


def begun(judge: Callable[[socket.socket, float], Account]) -> StandIn:
    made = standin.begin(judge)
    assert made is not None
    return made


def until_asked(end: socket.socket, _: float) -> Account:
    end.recv(10)
    return ACCOUNT


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def gone(made: StandIn) -> bool:
    """Whether its process ends within two seconds."""
    return any(made.reaped() or time.sleep(0.01) for _ in range(200))


def test_it_stays_until_it_is_asked_to_leave_and_gives_its_account():
    made = begun(until_asked)

    assert not made.reaped()
    assert made.left() == ACCOUNT
    assert gone(made)
    with pytest.raises(ChildProcessError):
        os.waitpid(made.pid, 0)


def test_it_is_there_when_its_worker_goes_on(tmp_path):
    def judge(end: socket.socket, until: float) -> Account:
        (tmp_path / "there").touch()
        return until_asked(end, until)

    made = begun(judge)

    assert any((tmp_path / "there").exists() or time.sleep(0.001) for _ in range(20))
    assert made.left() == ACCOUNT


def test_one_that_comes_later_than_its_worker_waits_gives_its_account_too(monkeypatch):
    monkeypatch.setattr(standin, "ARRIVAL_SECONDS", 0.001)
    monkeypatch.setattr(standin, "die_with", lambda _: time.sleep(0.05))

    assert begun(until_asked).left() == ACCOUNT


def test_it_may_leave_by_itself_and_its_account_waits():
    made = begun(lambda _, until: Account(Totals(described_at=until), 0, 0))
    os.waitid(os.P_PID, made.pid, os.WEXITED | os.WNOWAIT)

    account = made.left()

    assert account is not None
    assert STAY_SECONDS - 5 < account.totals.described_at - time.monotonic() <= STAY_SECONDS


def test_one_that_was_killed_has_no_account_and_is_gone_when_that_is_said():
    made = begun(until_asked)
    os.kill(made.pid, signal.SIGKILL)

    assert made.left() is None
    assert made.reaped()


def test_one_that_fails_has_no_account(capfd):
    made = begun(lambda *_: 1 // 0)

    assert made.left() is None
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_one_that_does_not_answer_is_killed(monkeypatch):
    monkeypatch.setattr(standin, "FAREWELL_SECONDS", 0.05)
    made = begun(lambda *_: time.sleep(60))

    assert made.left() is None
    assert made.reaped()
    with pytest.raises(ProcessLookupError):
        os.kill(made.pid, 0)


def test_it_dies_with_its_worker():
    reading, writing = os.pipe()
    worker = os.fork()
    if not worker:
        os.write(writing, b"%d" % begun(until_asked).pid)
        os._exit(0)
    os.waitpid(worker, 0)
    pid = int(os.read(reading, 20))
    os.close(reading)
    os.close(writing)

    def dead() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
        except FileNotFoundError:
            return True

    assert any(dead() or time.sleep(0.01) for _ in range(200))


@pytest.mark.parametrize("call", ["fork", "socketpair"])
def test_where_there_is_no_process_or_socket_for_it_there_is_no_stand_in(monkeypatch, call):
    def refuse(*_: object) -> None:
        raise OSError(11, "no more of these")

    monkeypatch.setattr(os if call == "fork" else socket, call, refuse)
    before = descriptors()

    assert standin.begin(until_asked) is None
    assert descriptors() == before


def test_it_stays_no_longer_than_a_worker_may_take_to_load():
    assert STAY_SECONDS == workers.LOADING_SECONDS
