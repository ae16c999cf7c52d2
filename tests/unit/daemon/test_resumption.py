import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from calicod.daemon import resumption as module
from calicod.daemon.booted import boot_time
from calicod.daemon.instance import TRIAL_FILE
from calicod.daemon.resumption import LIFE_SECONDS, NOTE_FILE, Resumption, resumes
from calicod.daemon.settings import Settings
from calicod.errors import CalicodError
from calicod.model.interface import Interface

NAMES = ((1, "lo"), (7, "eth0"))
ADDRESSES = {7: (b"\x0a\0\0\1", b"\x0a\0\0\2")}
NICS = (Interface(1, "lo"), Interface(7, "eth0", ADDRESSES[7]))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(module.socket, "if_nameindex", lambda: list(NAMES))
    monkeypatch.setattr(module, "addresses", lambda: ADDRESSES)
    for name in ("p", "run", "state"):
        (tmp_path / name).mkdir()
    (tmp_path / "p" / "a.yaml").write_text("a: b\n")
    (tmp_path / "state" / "lastgood").write_text("a")
    return Settings(
        node_name="n1",
        policy_paths=(tmp_path / "p",),
        run_directory=tmp_path / "run",
        state_directory=tmp_path / "state",
    )


@pytest.fixture
def enforced(settings: Settings) -> Resumption:
    """What a daemon leaves that has read policy and brought it into force."""
    made = Resumption(settings, (settings.state_directory / "lastgood",))
    made.before_reading()
    made.after_reading()
    made.remember(NICS)
    return made


def test_where_no_daemon_was_there_is_nothing_to_go_on_with(settings):
    assert not resumes(settings)


def test_what_was_in_force_to_the_end_is_gone_on_with(settings, enforced):
    assert resumes(settings)


def test_nothing_is_remembered_that_was_not_read(settings):
    Resumption(settings).remember(NICS)

    assert not resumes(settings)


def test_nothing_is_remembered_of_files_that_were_looked_at_and_could_not_be_read(settings, enforced):
    (settings.policy_paths[0] / "a.yaml").write_text("a: c, longer\n")
    enforced.before_reading()
    enforced.remember(NICS)

    assert not resumes(settings)


def test_it_is_forgotten_before_anything_else_comes_into_force(settings, enforced):
    enforced.forget()
    enforced.forget()
    enforced.live()

    assert not resumes(settings)


def rewrite(file: Path) -> None:
    before = file.stat()
    file.write_text("a: c\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "edited": lambda folder: (folder / "a.yaml").write_text("a: c, longer\n"),
    "replaced": lambda folder: ((folder / "d").write_text("a: c\n"), (folder / "d").rename(folder / "a.yaml")),
    "added": lambda folder: (folder / "b.yaml").write_text("a: b\n"),
    "closed": lambda folder: (folder / "a.yaml").chmod(0),
    "edited, its time and size kept": lambda folder: rewrite(folder / "a.yaml"),
    "removed": lambda folder: (folder / "a.yaml").unlink(),
    "renamed": lambda folder: (folder / "a.yaml").rename(folder / "b.yaml"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_policy_that_was_touched_is_read_first(settings, enforced, change):
    CHANGES[change](settings.policy_paths[0])

    assert not resumes(settings)


def test_a_link_that_leads_elsewhere_leads_to_other_policy(settings, tmp_path):
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "a.yaml").write_text("a: c\n")
    link = tmp_path / "link"
    link.symlink_to("p")
    linked = msgspec.structs.replace(settings, policy_paths=(link,))
    made = Resumption(linked)
    made.before_reading()
    made.after_reading()
    made.remember(NICS)
    assert resumes(linked)

    link.unlink()
    link.symlink_to("q")

    assert not resumes(linked)


def test_policy_that_was_touched_while_it_was_read_is_read_first(settings):
    made = Resumption(settings)
    made.before_reading()
    (settings.policy_paths[0] / "b.yaml").write_text("a: b\n")
    made.after_reading()
    made.remember(NICS)

    assert not resumes(settings)


@pytest.mark.parametrize(
    "names",
    [((1, "lo"),), (*NAMES, (8, "eth1")), ((1, "lo"), (7, "eth1")), ((1, "lo"), (8, "eth0")), ()],
    ids=["gone", "new", "renamed", "another", "none"],
)
def test_other_interfaces_are_looked_at_first(settings, enforced, monkeypatch, names):
    monkeypatch.setattr(module.socket, "if_nameindex", lambda: list(names))

    assert not resumes(settings)


@pytest.mark.parametrize("some", [{}, {7: ADDRESSES[7][:1]}, {1: ADDRESSES[7]}, ADDRESSES | {1: ADDRESSES[7]}])
def test_addresses_that_moved_are_looked_at_first(settings, enforced, monkeypatch, some):
    monkeypatch.setattr(module, "addresses", lambda: some)

    assert not resumes(settings)


def test_where_addresses_are_not_to_be_had_nobody_goes_on(settings, enforced, monkeypatch):
    def refuse() -> None:
        raise CalicodError("K018", "no netlink")

    monkeypatch.setattr(module, "addresses", refuse)

    assert not resumes(settings)


@pytest.mark.parametrize("name", [TRIAL_FILE, "lastgood"])
def test_another_state_may_be_another_policy(settings, enforced, name):
    (settings.state_directory / name).write_text("longer")

    assert not resumes(settings)


@pytest.mark.parametrize(("what", "other"), [("boot_id", lambda: "another"), ("NAMESPACE", Path("/proc/self/ns/uts"))])
def test_another_boot_or_namespace_is_another_place(settings, enforced, monkeypatch, what, other):
    monkeypatch.setattr(module, what, other)

    assert not resumes(settings)


def test_files_that_change_all_the_time_are_no_ground(settings, monkeypatch):
    file = settings.policy_paths[0] / "a.yaml"
    monkeypatch.setattr(module.time, "time", lambda: file.stat().st_ctime_ns / 1e9 + module.TICK_SECONDS / 2)
    made = Resumption(settings)
    made.before_reading()
    made.after_reading()
    made.remember(NICS)

    assert not resumes(settings)


def test_the_order_of_interfaces_means_nothing(settings, enforced, monkeypatch):
    monkeypatch.setattr(module.socket, "if_nameindex", lambda: list(reversed(NAMES)))

    assert resumes(settings)


def test_other_settings_or_another_version_judge_by_what_they_read(settings, enforced, monkeypatch):
    assert not resumes(msgspec.structs.replace(settings, failure_mode="open"))

    monkeypatch.setattr(module, "__version__", "0.0.0")
    assert not resumes(settings)


def test_it_holds_for_a_moment_after_the_last_sign_of_life(settings, enforced):
    note, now = settings.run_directory / NOTE_FILE, boot_time()

    assert resumes(settings, now + LIFE_SECONDS - 1)
    assert not resumes(settings, now + LIFE_SECONDS + 1)
    assert not resumes(settings, now - 10), "that of another boot"

    os.utime(note, (now - 60, now - 60))
    assert not resumes(settings)
    enforced.live()
    assert resumes(settings)


@pytest.mark.parametrize("content", [b"", b"\xc1", b"\x90", msgspec.msgpack.encode(["a", [], []])])
def test_a_note_that_cannot_be_read_is_none(settings, enforced, content):
    (settings.run_directory / NOTE_FILE).write_bytes(content)

    assert not resumes(settings)


def test_a_note_that_cannot_be_written_is_done_without(settings, tmp_path):
    made = Resumption(msgspec.structs.replace(settings, run_directory=tmp_path / "none"))
    made.before_reading()
    made.after_reading()
    made.remember(())
    made.forget()
    made.live()

    assert not resumes(msgspec.structs.replace(settings, run_directory=tmp_path / "none"))
