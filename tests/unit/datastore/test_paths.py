import os
import socket
from pathlib import Path

from calicod.datastore.paths import Found, files


def made(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return root


def found(*paths: Path) -> list[str]:
    return [file.path for file in files(paths) if not file.problem]


def test_a_directory_means_its_yaml_and_json_files_in_the_order_of_their_names(tmp_path):
    made(tmp_path, "b.yaml", "a.yml", "sub/c.json", "notes.txt", "README")

    assert found(tmp_path) == [str(tmp_path / name) for name in ("a.yml", "b.yaml", "sub/c.json")]


def test_a_file_that_was_named_is_read_whatever_its_ending(tmp_path):
    made(tmp_path, "policy.txt")

    assert found(tmp_path / "policy.txt") == [str(tmp_path / "policy.txt")]


def test_hidden_files_and_directories_are_left_out(tmp_path):
    made(tmp_path, ".#a.yaml", ".git/b.yaml", "a.yaml")

    assert found(tmp_path) == [str(tmp_path / "a.yaml")]


def test_each_file_of_a_mounted_config_map_comes_once(tmp_path):
    made(tmp_path, "..2026_01/a.yaml")
    (tmp_path / "..data").symlink_to("..2026_01")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")

    assert found(tmp_path) == [str(tmp_path / "a.yaml")]


def test_a_file_that_several_paths_lead_to_is_read_once(tmp_path):
    made(tmp_path, "a.yaml")
    (tmp_path / "b.yaml").symlink_to("a.yaml")

    assert found(tmp_path, tmp_path / "a.yaml") == [str(tmp_path / "a.yaml")]


def test_a_directory_that_contains_itself_is_read_once(tmp_path):
    made(tmp_path, "sub/a.yaml")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)

    assert found(tmp_path) == [str(tmp_path / "sub" / "a.yaml")]


def test_a_path_that_is_not_there_is_a_problem_with_its_way_out(tmp_path):
    missing = str(tmp_path / "none")

    assert files([missing]) == (Found(missing, "no such file or directory", "check the path, or create it"),)


def test_a_link_that_leads_nowhere_is_told(tmp_path):
    (tmp_path / "a.yaml").symlink_to("gone.yaml")

    (told,) = files([tmp_path])

    assert told.problem == "the link leads nowhere"


def test_what_is_no_file_is_told_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))

        told = files([tmp_path, tmp_path / "sock"])

    assert [file.problem for file in told] == ["not a regular file", "neither a file nor a directory"]


def test_standard_input_is_itself():
    assert files(["-"]) == (Found("-"),)


def test_a_name_that_is_no_text_is_told_as_it_can_be_written(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.yaml")).write_text("a: 1\n")

    assert files([tmp_path]) == (Found(f"{tmp_path}/\\xff.yaml", "its name is not UTF-8", "rename it"),)
