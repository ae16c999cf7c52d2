import json
from collections import deque
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from calicod.cli.events import command
from calicod.model.event import KernelDropped, PolicyRejected, encode
from calicod.model.record import Batch
from calicod.netfilter.endings import ended
from tests.unit.cli.serving import serving
from tests.unit.daemon.telling import T0, Teller, allow, deny, flow, known, packet, rule


def told() -> list[bytes]:
    """An allowed connection, a refused one of IPv6, the end of the first, and what is no connection."""
    log = Teller(
        known("WorkloadEndpoint", "production", "red-0", "10.65.0.2/32"),
        known("NetworkSet", "", "office", "203.0.113.0/24"),
    ).log
    refused = packet(deny(rule("db", -1)), src="2001:db8::1", dst="2001:db8::2")
    fields = {"message": "no", "hint": None, "file": "p/a.yaml", "line": 1, "column": 1, "path": "spec", "kept": True}
    rejected = PolicyRejected(code="P107", kind="NetworkPolicy", namespace="production", name="web", **fields)
    return [
        *log.records(Batch(0, 1, (packet(allow()), refused))),
        *log.ended(deque([ended(flow(0, 5))]), T0),
        encode(KernelDropped(reason="invalid", count=3)),
        encode(rejected),
    ]


LINES = told()
ALLOWED, DENIED, CLOSED, DROPPED, REJECTED = range(5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.sock"


def asked(path: Path, *words: str) -> Result:
    with serving(path, {"/events": b"".join(LINES)}):
        return CliRunner().invoke(command, ["--socket", str(path), *words])


def test_where_it_is_no_terminal_the_lines_come_as_they_were_written(path):
    done = asked(path)

    assert (done.exit_code, done.stdout_bytes) == (0, b"".join(LINES))


def test_for_people_each_event_is_a_line_that_says_who_and_which_rule_where(path):
    shown = asked(path, "--text").stdout.splitlines()

    assert len(shown) == len(LINES)
    assert "tcp 203.0.113.9:40001 (office) -> 10.65.0.2:6379 (production/red-0) rule" in shown[ALLOWED]
    assert shown[DENIED].endswith("NetworkPolicy production/db end of tier (p/web.yaml:14)")
    assert shown[DROPPED].endswith("kernel.dropped     reason=invalid count=3")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--denied"], [DENIED, DROPPED]),
        (["--src", "203.0.113.9"], [ALLOWED, CLOSED]),
        (["--src", "203.0.113.0/24"], [ALLOWED, CLOSED]),
        (["--src", "office"], [ALLOWED, CLOSED]),
        (["--src", "/office"], [ALLOWED, CLOSED]),
        (["--src", "2001:db8::/32"], [DENIED]),
        (["--src", "0.0.0.0/0"], [ALLOWED, CLOSED]),
        (["--dst", "production/red-0"], [ALLOWED, CLOSED]),
        (["--dst", "red-0"], [ALLOWED, CLOSED]),
        (["--dst", "default/red-0"], []),
        (["--policy", "web"], [ALLOWED, CLOSED, REJECTED]),
        (["--policy", "production/db"], [DENIED]),
        (["--policy", "db", "--src", "203.0.113.9"], []),
        (["--event", "connection.closed"], [CLOSED]),
        (["--event", "connection.*"], [ALLOWED, DENIED, CLOSED]),
        (["--event", "kernel.dropped", "--event", "policy.rejected"], [DROPPED, REJECTED]),
        (["--event", "nothing"], []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value and isinstance(value[0], str) else None,
)
def test_filters_keep_what_passes_all_of_them(path, words, expected):
    assert asked(path, *words).stdout_bytes == b"".join(LINES[number] for number in expected)


def test_json_and_text_can_be_chosen_against_the_default(path):
    assert json.loads(asked(path, "--json").stdout.splitlines()[0])["event"] == "connection.allowed"


def test_following_shows_lines_as_they_come_and_says_when_the_daemon_ends(path):
    with serving(path, {"/events": b"".join(LINES)}) as requests:
        done = CliRunner().invoke(command, ["--socket", str(path), "-f", "--denied"])

    assert requests == ["GET /events?follow=1"]
    assert done.stdout_bytes == LINES[DENIED] + LINES[DROPPED]
    assert (done.exit_code, "it has ended" in done.stderr) == (3, True)


def test_a_daemon_that_cannot_be_reached_exits_3(path):
    done = CliRunner().invoke(command, ["--socket", str(path)])

    assert (done.exit_code, done.stdout) == (3, "")
    assert "K060" in done.stderr


def test_ctrl_c_ends_following_without_a_word(path, monkeypatch):
    def interrupted(*_: object) -> list[bytes]:
        raise KeyboardInterrupt

    monkeypatch.setattr("calicod.cli.events.stream", interrupted)
    done = CliRunner().invoke(command, ["--socket", str(path), "-f"])

    assert (done.exit_code, done.output) == (0, "")


def test_help_has_an_example():
    assert "calicod events -f --denied" in CliRunner().invoke(command, ["--help"]).output
