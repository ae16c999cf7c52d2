from pathlib import Path

import pytest

from calicod.daemon.settings import FILE_SINK, load_settings, parse_settings
from calicod.errors import CalicodError, PolicyError


def findings(text: str) -> list[tuple[str, int]]:
    with pytest.raises(PolicyError) as caught:
        parse_settings(text, "calicod.yaml")
    return [(d.code, d.line) for d in caught.value.diagnostics]


def test_an_empty_file_means_every_default():
    settings = parse_settings("# nothing\n", "calicod.yaml")

    assert settings.policy_paths == (Path("/etc/calicod/policies.d"),)
    assert (settings.queue_base, settings.queue_length, settings.workers) == (5200, 4096, 1)
    assert settings.events == (FILE_SINK,)
    assert settings.failure_mode == "closed"


def test_relative_paths_count_from_the_folder_of_the_file(tmp_path):
    text = "policy_paths: [p.d]\nrun_directory: run\nevents: [{type: file, path: e.jsonl}]\n"

    settings = parse_settings(text, str(tmp_path / "calicod.yaml"))

    assert settings.policy_paths == (tmp_path / "p.d",)
    assert settings.run_directory == tmp_path / "run"
    assert settings.events[0]["path"] == str(tmp_path / "e.jsonl")


def test_an_unknown_key_is_an_error_with_its_line():
    assert findings("workers: 2\nqueu_base: 1\n") == [("Y011", 2)]


def test_every_error_is_told_at_once():
    assert findings("workers: 0\nlog_level: loud\nfailure_mode: ajar\n") == [("C002", 1), ("C002", 2), ("C002", 3)]


def test_a_key_given_twice_is_refused():
    assert findings("workers: 1\nworkers: 2\n") == [("Y003", 2)]


def test_masks_that_overlap_are_refused():
    assert findings("packet_mark_mask: 0x0f000000\n") == [("C002", 1)]


def test_masks_that_are_too_narrow_are_refused():
    assert findings("packet_mark_mask: 0x70000000\n") == [("C002", 1)]


@pytest.mark.parametrize("line", ["deny_action: reject", "established: keep", "first_enforcement: adopt", "steering: nft"])
def test_what_a_later_version_will_do_is_refused(line):
    assert findings(line) == [("N009", 1)]


def test_queue_numbers_must_leave_room_for_all_workers():
    assert findings("queue_base: 65534\nworkers: 2\n") == [("C002", 1)]


def test_broken_yaml_is_told_with_its_place():
    assert [code for code, _ in findings("workers: [1\n")] == ["Y001"]


def test_a_second_document_is_refused():
    assert findings("workers: 1\n---\nworkers: 2\n") == [("C002", 3)]


def test_a_named_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(CalicodError, match="no such file"):
        load_settings(tmp_path / "none.yaml")


def test_workers_auto_is_one_for_each_cpu():
    assert parse_settings("workers: auto", "c.yaml").workers >= 1
