import msgspec
import pytest

from calicod.daemon import main
from calicod.daemon.keeper import Layout
from calicod.daemon.main import layout_of, logging, run
from calicod.daemon.settings import parse_settings
from calicod.errors import CalicodError, PolicyError


def test_the_keeper_gets_of_the_settings_what_it_needs(tmp_path):
    text = """
run_directory: run
queue_base: 6000
queue_length: 100
workers: 3
failure_mode: open
deny_action: reject
cut_with_reset: true
packet_mark_mask: 0x0000f000
connection_mark_mask: 0x0fff0f00
"""
    layout = layout_of(parse_settings(text, str(tmp_path / "calicod.yaml")), resumes=True)

    assert msgspec.structs.asdict(layout) == {
        "run_directory": tmp_path / "run",
        "queue_base": 6000,
        "queue_length": 100,
        "workers": 3,
        "marks": layout.marks,
        "fail_open": True,
        "rejects": True,
        "resets": True,
        "resumes": True,
    }
    assert isinstance(layout, Layout)
    assert (layout.marks.packet_mask, layout.marks.connection_mask) == (0xF000, 0x0FFF0F00)


def test_a_configuration_with_errors_is_refused_before_anything_is_made(tmp_path):
    config = tmp_path / "calicod.yaml"
    config.write_text("run_directory: run\nworker: 2\n")

    with pytest.raises(PolicyError):
        run(config)
    assert list(tmp_path.iterdir()) == [config]


def test_a_configuration_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(CalicodError) as caught:
        run(tmp_path / "absent.yaml")

    assert (caught.value.code, caught.value.exit_code) == ("C001", 1)


def test_without_a_log_group_the_daemon_runs_and_says_why_it_does_more_work(monkeypatch):
    def refused(group: int) -> None:
        raise CalicodError("K019", f"the kernel gives no log group {group}: EPERM", hint="", exit_code=4)

    monkeypatch.setattr(main, "LogGroup", refused)

    notice = "K019 the kernel gives no log group 6000: EPERM: the kernel allows nothing by itself"
    assert logging(6000) == (None, (notice,))


def test_with_one_nothing_is_said(monkeypatch):
    monkeypatch.setattr(main, "LogGroup", lambda group: ("group", group))

    assert logging(6000) == (("group", 6000), ())
