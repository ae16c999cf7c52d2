import msgspec
import pytest

from calicod.eventlog.readable import plain, printable

CONNECTION = {
    "event": "connection.denied",
    "version": 1,
    "time": "2026-01-02T03:04:05.678901Z",
    "node": "n1",
    "revision": 3,
    "verdict": "deny",
    "reason": "rule",
    "hook": "forward",
    "in_interface": "eth0",
    "out_interface": "caliw1",
    "protocol": "tcp",
    "src_ip": "203.0.113.9",
    "src_port": 40001,
    "dst_ip": "10.65.0.2",
    "dst_port": 6379,
    "icmp_type": None,
    "icmp_code": None,
    "reporter": "dst",
    "src": {"type": "Network", "namespace": "", "name": "pub", "labels": {}},
    "dst": {"type": "WorkloadEndpoint", "namespace": "production", "name": "red-0", "labels": {}},
    "policy": {
        "kind": "NetworkPolicy",
        "tier": "default",
        "namespace": "production",
        "name": "allow-blue",
        "rule": 1,
        "file": "p/web.yaml",
        "line": 14,
    },
    "policies": {"enforced": [], "pending": []},
    "count": 1,
    "flow_id": "0011223344556677",
}


def shown(**changes: object) -> str:
    return plain(msgspec.json.encode(CONNECTION | changes))


def test_a_refused_connection_says_who_to_whom_and_which_rule_where():
    assert shown() == (
        "03:04:05.678 connection.denied  tcp 203.0.113.9:40001 -> 10.65.0.2:6379 (production/red-0) rule "
        "NetworkPolicy production/allow-blue rule 1 (p/web.yaml:14)"
    )


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"count": 7}, " x7"),
        (
            {"policies": {"enforced": ["0|t|gnp:a|deny|1"], "pending": ["0|t|gnp:b|pass|0", "1|t|sgnp:c|allow|-1"]}},
            "(p/web.yaml:14) pending t|sgnp:c|allow|-1",
        ),
        ({"policy": None, "reason": "failsafe"}, "(production/red-0) failsafe"),
        ({"policy": {**CONNECTION["policy"], "rule": -1}}, "allow-blue end of tier (p"),
        ({"src_ip": "2001:db8::1"}, "tcp [2001:db8::1]:40001 ->"),
        ({"protocol": "icmp", "src_port": None, "dst_port": None, "icmp_type": 8, "icmp_code": 0}, "type 8 code 0"),
        ({"src_ip": None, "src_port": None, "src": None}, "tcp ? ->"),
        ({"duration_ms": 12.5, "bytes_to_dst": 10, "bytes_to_src": 20}, " 12.5 ms 10 B out 20 B back"),
        ({"reason": None, "policy": None}, "(production/red-0) unknown"),
    ],
)
def test_what_else_a_connection_may_say(changes, part):
    assert part in shown(**changes)


def test_a_count_of_one_is_not_worth_a_word():
    assert "x1" not in shown()


def test_any_other_event_shows_its_fields_by_name():
    line = b'{"event":"queue.dropped","version":1,"time":"2026-01-02T03:04:05.6Z","node":"n","queue":5,"why":null}\n'

    assert plain(line) == "03:04:05.6Z  queue.dropped      queue=5"


@pytest.mark.parametrize("evil", ["\x1b[2J", "a\nb", "\u202e", "\x9b1m", "\r", "\u2028", "\x00"])
def test_nothing_in_a_name_steers_the_terminal(evil):
    lines = [
        shown(policy={**CONNECTION["policy"], "name": evil, "file": evil}),
        shown(dst={**CONNECTION["dst"], "name": evil, "namespace": evil}),
        shown(event=evil, time="2026-01-02T" + evil * 20, reason=evil, protocol=evil),
        plain(msgspec.json.encode({"event": "policy.rejected", "message": evil, evil: {evil: evil}})),
        plain(evil.encode()),
    ]

    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"nothing\n", b"[1]\n", b"{}\n", b'{"src_ip":1,"policy":[]}\n', b"\xff\n"]
)
def test_any_line_is_shown(line):
    assert plain(line).isprintable()


def test_what_is_printable_stays_as_it_is():
    assert printable("zwölf → ✓") == "zwölf → ✓"


@pytest.mark.parametrize(
    "policies",
    [
        {"enforced": ["0|t|gnp:a|deny|-1"], "pending": ["0|t|sgnp:b|deny|-1"]},
        {"enforced": ["0|t|gnp:a|deny|-1"], "pending": []},
        {"enforced": [], "pending": []},
        {"enforced": 1, "pending": None},
        None,
    ],
)
def test_staged_policies_that_would_do_the_same_are_not_told(policies):
    assert "pending" not in shown(policies=policies)
