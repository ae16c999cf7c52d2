import os
import time
from pathlib import Path

import pytest

from calicod.datastore.files import Text, gather
from calicod.datastore.fingerprints import fingerprint
from calicod.datastore.folder import differences, install, is_name, names, present, target
from calicod.errors import CalicodError
from tests.unit.datastore.texts import tier


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies.d"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.yaml").write_text(tier("a", 1))
    (folder / "deep" / "b.json").write_text("{}")
    (folder / "notes.txt").write_text("not policy")
    return folder


def held(folder: Path) -> dict[str, str]:
    """Every file below, hidden ones too."""
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def texts(folder: Path, **written: str) -> tuple[Text, ...]:
    return tuple(Text(str(folder / f"{name.replace('__', '/')}.yaml"), text.encode()) for name, text in written.items())


@pytest.mark.parametrize(
    ("path", "paths", "name"),
    [
        ("new/a.yaml", ["new"], "a.yaml"),
        ("new/deep/a.yaml", ["new"], "deep/a.yaml"),
        ("new/deep/a.yaml", ["new", "new/deep"], "a.yaml"),
        ("new/a.yaml", ["new/a.yaml"], "a.yaml"),
        ("/tmp/policy", ["/tmp/policy"], "policy.yaml"),
        (".hidden.yaml", [".hidden.yaml"], "hidden.yaml"),
        ("-", ["-"], "stdin.yaml"),
    ],
)
def test_a_file_gets_the_name_that_it_has_below_what_was_named(path, paths, name):
    (named,) = names([Text(path, b"x")], paths)

    assert named == Text(name, b"x")
    assert is_name(named.path)


def test_two_files_of_one_name_stay_two():
    folders = ["one", "two", "three"]
    named = names([Text(f"{folder}/a.yaml", folder.encode()) for folder in folders], folders)

    assert [text.path for text in named] == ["a.yaml", "a-2.yaml", "a-3.yaml"]


LONG = "a" * 201 + ".yaml"


@pytest.mark.parametrize(
    "name", ["", "/a.yaml", "../a.yaml", "a/../../b.yaml", ".a.yaml", "a//b.yaml", "a.txt", "a\n.yaml", LONG]
)
def test_what_would_not_lie_in_the_folder_is_no_name(name):
    assert not is_name(name)


def test_a_set_takes_the_place_of_what_was_there(policies):
    install([policies], texts(policies, a=tier("a", 2), new__c=tier("c", 1)))

    assert held(policies) == {"a.yaml": tier("a", 2), "new/c.yaml": tier("c", 1), "notes.txt": "not policy"}
    assert not (policies / "deep").exists()


def test_what_was_there_can_be_put_back(policies):
    before = held(policies)
    kept = present([policies])
    install([policies], texts(policies, z=tier("z", 1)))
    install([policies], kept)

    assert held(policies) == before


def test_it_may_be_begun_again_wherever_it_was_interrupted(policies):
    wanted = texts(policies, a=tier("a", 2), b=tier("b", 1))
    (policies / "deep" / "b.json").unlink()
    (policies / ".b.yaml.calicod").write_text("half of it")
    install([policies], wanted)
    install([policies], wanted)

    assert held(policies) == {"a.yaml": tier("a", 2), "b.yaml": tier("b", 1), "notes.txt": "not policy"}


def test_a_file_that_stays_as_it_is_is_not_touched(policies):
    before = fingerprint([policies / "a.yaml"])
    install([policies], texts(policies, a=tier("a", 1)))

    assert fingerprint([policies / "a.yaml"]) == before


def test_a_file_keeps_its_mode_and_a_new_one_is_for_everybody_to_read(policies):
    (policies / "a.yaml").chmod(0o600)
    install([policies], texts(policies, a=tier("a", 2), b=tier("b", 1)))

    assert [(policies / name).stat().st_mode & 0o777 for name in ("a.yaml", "b.yaml")] == [0o600, 0o644]


def test_a_set_of_several_folders_goes_into_the_first(policies, tmp_path):
    second = tmp_path / "second"
    second.mkdir()
    (second / "old.yaml").write_text(tier("old", 1))
    assert target([policies, second]) == policies
    install([policies, second], texts(policies, a=tier("a", 2)))

    assert (held(second), sorted(held(policies))) == ({}, ["a.yaml", "notes.txt"])


def test_a_folder_that_is_not_there_yet_is_made(tmp_path):
    later = tmp_path / "later" / "policies.d"
    assert target([later]) == later
    install([later], texts(later, a=tier("a", 1)))

    assert held(later) == {"a.yaml": tier("a", 1)}


def test_a_link_among_the_policy_files_is_somebody_elses(policies, tmp_path):
    (tmp_path / "git.yaml").write_text(tier("g", 1))
    (policies / "g.yaml").symlink_to(tmp_path / "git.yaml")

    with pytest.raises(CalicodError, match=r'"[^"]*/g.yaml" is a link'):
        target([policies])


def test_so_is_what_lies_behind_a_linked_folder(policies, tmp_path):
    (tmp_path / "git").mkdir()
    (tmp_path / "git" / "g.yaml").write_text(tier("g", 1))
    (policies / "git").symlink_to(tmp_path / "git")

    with pytest.raises(CalicodError, match="is a link"):
        target([policies])


def test_a_policy_path_may_be_a_link_itself(policies, tmp_path):
    (tmp_path / "linked").symlink_to(policies)
    assert target([tmp_path / "linked"]) == tmp_path / "linked"


@pytest.mark.parametrize("name", ["a.yaml", "later.yaml"])
def test_a_policy_path_that_is_a_file_takes_no_set(policies, name):
    with pytest.raises(CalicodError, match="is not a directory"):
        target([policies, policies / name])


def test_a_folder_that_cannot_be_written_is_told_beforehand(tmp_path):
    with pytest.raises(CalicodError, match="cannot be written by the daemon"):
        target([Path("/proc/sys/net/calicod")])


def test_differences_name_what_was_written_made_or_removed(policies):
    before = fingerprint([policies])
    time.sleep(0.02)  # a tick of the kernel's clock
    (policies / "new.yaml").write_text(tier("n", 1))
    (policies / "deep" / "b.json").unlink()
    os.utime(policies / "a.yaml", (1, 1))

    changed = ["a.yaml", "deep/b.json", "new.yaml"]
    assert differences(before, fingerprint([policies])) == tuple(str(policies / name) for name in changed)
    assert differences(before, before) == ()


def test_gathered_files_and_their_names_are_what_a_folder_held(policies):
    found, loaded = gather([policies])

    assert [text.path for text in names(found, [policies])] == ["a.yaml", "deep/b.json"]
    assert [resource.metadata.name for resource in loaded.resources] == ["a"]
