import os

import pytest

from calicod.cli.demo.lease import LOCK, claim, clear, lock, reclaim
from calicod.cli.demo.space import add_namespace, namespaces

PREFIX = "cdl-"


def dead(base, number):
    folder = base / f"{PREFIX}{number}"
    folder.mkdir(parents=True)
    (folder / LOCK).touch()
    (folder / "left behind").touch()
    return folder


def test_a_lease_names_a_folder_and_a_prefix_after_this_process(tmp_path):
    lease = claim(PREFIX, tmp_path)

    assert lease.folder == tmp_path / f"{PREFIX}{os.getpid()}"
    assert lease.prefix == f"{PREFIX}{os.getpid()}-"
    lease.close()


def test_what_ends_in_order_leaves_no_folder(tmp_path):
    lease = claim(PREFIX, tmp_path)
    (lease.folder / "policies").mkdir()
    lease.close()

    assert list(tmp_path.iterdir()) == []


def test_the_folders_of_dead_processes_are_removed_at_the_next_claim(tmp_path):
    dead(tmp_path, 1)
    dead(tmp_path, 2)
    lease = claim(PREFIX, tmp_path)

    assert list(tmp_path.iterdir()) == [lease.folder]
    lease.close()


def test_the_folder_of_a_process_that_lives_stays(tmp_path):
    folder = dead(tmp_path, 1)
    descriptor = lock(folder / LOCK)

    assert reclaim(PREFIX, tmp_path) == ()
    assert folder.is_dir()
    os.close(descriptor)
    assert reclaim(PREFIX, tmp_path) == (folder.name,)
    assert not folder.exists()


def test_a_folder_of_another_name_is_not_touched(tmp_path):
    others = [tmp_path / name for name in (f"{PREFIX}other", f"x{PREFIX}1", f"{PREFIX}1-2")]
    for other in others:
        other.mkdir()

    assert reclaim(PREFIX, tmp_path) == ()
    assert all(other.is_dir() for other in others)


def test_a_lock_is_held_by_one(tmp_path):
    descriptor = lock(tmp_path / LOCK)

    assert descriptor is not None
    assert lock(tmp_path / LOCK) is None
    os.close(descriptor)


def test_a_folder_that_is_gone_has_no_lock(tmp_path):
    assert lock(tmp_path / "gone" / LOCK) is None


def test_a_lock_is_no_link_to_elsewhere(tmp_path):
    (tmp_path / LOCK).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match=r"symbolic links"):
        lock(tmp_path / LOCK)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.netns
def test_namespaces_of_a_dead_process_are_removed_and_others_are_not(tmp_path):
    dead(tmp_path, 1)
    for name in (f"{PREFIX}1-node", f"{PREFIX}12-node"):
        add_namespace(name)
    try:
        reclaim(PREFIX, tmp_path)
        assert [name for name in namespaces() if name.startswith(PREFIX)] == [f"{PREFIX}12-node"]
    finally:
        clear(PREFIX)
