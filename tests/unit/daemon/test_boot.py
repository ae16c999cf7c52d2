"""What is saved for the next boot, and when; what it does at boot: tests/netns/test_boot.py."""

from msgspec.structs import replace

from calicod.daemon.boot import FOLDER, Boot, forget, written
from calicod.daemon.settings import Settings
from calicod.model.interface import Interface
from calicod.model.marks import layout
from calicod.model.steering import Nic, Steering
from calicod.netfilter.memory import MemoryInstaller
from tests.unit.daemon.control_plane import POLICY

STEERING = Steering(generation=7, nics=(Nic("eth0", 3, managed=True),))


def files(folder):
    return {path.name: path.read_text() for path in (folder / FOLDER).iterdir()}


def test_the_steering_in_force_is_saved_without_its_generation(tmp_path):
    boot = Boot(tmp_path, MemoryInstaller())
    boot.save(STEERING)

    assert files(tmp_path) == {"memory": f"{replace(STEERING, generation=0)}\n"}
    assert (tmp_path / FOLDER / "memory").stat().st_mode & 0o777 == 0o600


def test_a_new_generation_of_the_same_rules_costs_no_write(tmp_path):
    boot = Boot(tmp_path, MemoryInstaller())
    boot.save(STEERING)
    before = (tmp_path / FOLDER / "memory").stat()
    boot.save(replace(STEERING, generation=8))

    assert (tmp_path / FOLDER / "memory").stat() == before


def test_files_of_another_variant_do_not_stay(tmp_path):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "iptables-legacy-restore").write_text("*filter")
    Boot(tmp_path, MemoryInstaller()).save(STEERING)

    assert set(files(tmp_path)) == {"memory"}


def test_what_cannot_be_saved_is_told_and_tried_again(tmp_path):
    (tmp_path / FOLDER).write_text("no folder")
    boot = Boot(tmp_path, MemoryInstaller())
    boot.save(STEERING)
    told = boot.problem
    (tmp_path / FOLDER).unlink()
    boot.save(STEERING)

    assert "cannot be saved" in told and str(tmp_path) in told
    assert (boot.problem, set(files(tmp_path))) == ("", {"memory"})


def test_after_forgetting_nothing_is_loaded_at_boot(tmp_path):
    Boot(tmp_path, MemoryInstaller()).save(STEERING)
    forget(tmp_path)
    forget(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_the_policy_as_written_gives_a_steering_of_no_generation_and_changes_nothing(tmp_path):
    (tmp_path / "a.yaml").write_text(POLICY.format(action="Allow"))
    (tmp_path / "b.yaml").write_text("kind: Nonsense\n")
    settings = Settings(node_name="n1", policy_paths=(tmp_path,), state_directory=tmp_path / "state", workers=2)

    found = written(settings, (Interface(2, "eth0"),))

    assert (found.steering.generation, found.steering.wildcard_host) == (0, True)
    assert (found.steering.workers, found.steering.marks) == (2, layout())
    assert {diagnostic.file for diagnostic in found.rejected} == {str(tmp_path / "b.yaml")}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.yaml", "b.yaml"]
