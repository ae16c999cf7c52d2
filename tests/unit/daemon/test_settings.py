from pathlib import Path

import pytest

from calicod.daemon.settings import load_settings, parse_settings
from calicod.errors import CalicodError, PolicyError
from calicod.eventlog.console import ConsoleSettings
from calicod.eventlog.file import FileSettings
from calicod.netfilter.probe import SETTINGS


def findings(text: str) -> list[tuple[str, int]]:
    with pytest.raises(PolicyError) as caught:
        parse_settings(text, "calicod.yaml")
    return [(d.code, d.line) for d in caught.value.diagnostics]


def test_an_empty_file_means_every_default():
    settings = parse_settings("# nothing\n", "calicod.yaml")

    assert settings.policy_paths == (Path("/etc/calicod/policies.d"),)
    assert (settings.queue_base, settings.queue_length, settings.workers) == (5200, 4096, 1)
    assert settings.events == (FileSettings(path=Path("/var/log/calicod/events.jsonl")),)
    assert settings.failure_mode == "closed"


def test_relative_paths_count_from_the_folder_of_the_file(tmp_path):
    text = "policy_paths: [p.d]\nrun_directory: run\nevents: [{type: file, path: e.jsonl}]\n"

    settings = parse_settings(text, str(tmp_path / "calicod.yaml"))

    assert settings.policy_paths == (tmp_path / "p.d",)
    assert settings.run_directory == tmp_path / "run"
    assert settings.events == (FileSettings(path=tmp_path / "e.jsonl"),)


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


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_way_of_steering_can_be_set(setting):
    assert parse_settings(f"steering: {setting}", "calicod.yaml").steering == setting


def test_refusals_are_answered_only_when_asked_for():
    quiet, loud = (parse_settings(text, "c.yaml") for text in ("", "deny_action: reject\ncut_with_reset: true\n"))

    assert (quiet.rejects, quiet.cut_with_reset) == (False, False)
    assert (loud.rejects, loud.cut_with_reset) == (True, True)
    assert findings("cut_with_reset: maybe\n") == [("Y010", 1)]


def test_live_flows_are_kept_only_when_asked_for():
    assert not parse_settings("", "c.yaml").keeps
    assert not parse_settings("", "c.yaml").adopts
    assert parse_settings("first_enforcement: adopt\n", "c.yaml").adopts
    assert parse_settings("established: keep\n", "c.yaml").keeps
    assert findings("established: adopt\n") == [("C002", 1)]


def test_queue_numbers_must_leave_room_for_all_workers():
    assert findings("queue_base: 65534\nworkers: 2\n") == [("C002", 1)]


def test_broken_yaml_is_told_with_its_place():
    assert [code for code, _ in findings("workers: [1\n")] == ["Y001"]


def test_a_second_document_is_refused():
    assert findings("workers: 1\n---\nworkers: 2\n") == [("C002", 3)]


def test_a_named_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(CalicodError, match=r"C001 .*no such file"):
        load_settings(tmp_path / "none.yaml")


def test_workers_auto_is_one_for_each_cpu():
    assert parse_settings("workers: auto", "c.yaml").workers >= 1


def test_a_sink_takes_the_keys_of_its_type():
    text = "events:\n- {type: file, path: /e.jsonl, max_bytes: 1000, keep: 0}\n- {type: console, format: json}\n"

    settings = parse_settings(text, "calicod.yaml")

    assert settings.events == (FileSettings(Path("/e.jsonl"), 1000, 0), ConsoleSettings("json"))


def test_no_sink_at_all_is_possible():
    assert parse_settings("events: []", "calicod.yaml").events == ()


@pytest.mark.parametrize(
    ("sink", "code"),
    [
        ("{path: /e.jsonl}", "C002"),
        ("{type: fil}", "C002"),
        ("{type: file, max_byte: 1}", "Y011"),
        ("{type: console, path: /e.jsonl}", "Y011"),
        ("{type: file, keep: -1}", "C002"),
        ("{type: file, path: ''}", "C002"),
        (r'{type: file, path: "/a\nb"}', "C002"),
        ("file", "Y010"),
    ],
)
def test_a_sink_that_cannot_work_is_an_error_with_its_line(sink, code):
    assert findings(f"events:\n- {{type: console}}\n- {sink}\n") == [(code, 3)]
