import json

import pytest

from tests.unit.cli.offline import EXAMPLES, calicod, packets, resources

KEYS = ["id", "verdict", "reason", "policy", "trace", "logged", "pending", "reporter", "endpoint"]
FRONT_TO_WEB = {"src": "10.65.0.2", "dst": "10.65.0.1", "protocol": "tcp", "sport": 50000, "dport": 80}
FORWARD = {"hook": "forward", "in": "califront", "out": "caliweb"}
VALID = {"id": "ok", **FRONT_TO_WEB}


def answers(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_decision_has_the_keys_that_scripts_rely_on(tmp_path):
    folder = resources(tmp_path)

    result = calicod(
        "eval", folder, "--node", "n1", "--packets", packets(tmp_path, {"id": 7, **FRONT_TO_WEB, **FORWARD})
    )

    (decision,) = answers(result.stdout)
    line = (tmp_path / "all.yaml").read_text().splitlines().index("    - action: Allow") + 1
    assert (result.exit_code, list(decision)) == (0, KEYS)
    assert (decision["id"], decision["verdict"], decision["reason"]) == (7, "allow", "rule")
    assert decision["policy"] == {
        "kind": "NetworkPolicy",
        "tier": "default",
        "namespace": "shop",
        "name": "web",
        "rule": 1,
        "file": f"{folder}/all.yaml",
        "line": line,
    }
    assert decision["trace"] == ["0|__PROFILE__|pro:open|allow|0", "1|default|np:shop/web|allow|1"]
    assert decision["pending"] is None


@pytest.mark.parametrize(
    ("packet", "verdict", "reason"),
    [
        ({**FRONT_TO_WEB, **FORWARD}, "allow", "rule"),
        ({**FRONT_TO_WEB, **FORWARD, "dport": 81}, "deny", "end-of-tier"),
        ({**FRONT_TO_WEB, **FORWARD, "out": "califront"}, "allow", "profile"),
        ({**FRONT_TO_WEB, **FORWARD, "in": "calistranger"}, "deny", "unknown-interface"),
        ({**FRONT_TO_WEB, "hook": "input", "in": "eth0"}, "deny", "no-profile"),
        ({**FRONT_TO_WEB, "hook": "input", "in": "eth0", "dport": 22}, "allow", "failsafe"),
        ({**FRONT_TO_WEB, "hook": "input", "in": "califront"}, "deny", "endpoint-to-host"),
        ({**FRONT_TO_WEB, "hook": "output", "out": "caliweb"}, "allow", "host-to-workload"),
        ({**FRONT_TO_WEB, "hook": "input", "in": "eth7"}, "allow", "no-endpoint"),
        ({**FRONT_TO_WEB, "hook": "prerouting", "in": "eth0"}, "allow", "no-endpoint"),
    ],
)
def test_hook_and_interfaces_say_who_judges(tmp_path, packet, verdict, reason):
    result = calicod("eval", resources(tmp_path), "--node", "n1", "--packets", packets(tmp_path, {"id": 1, **packet}))

    assert [(d["verdict"], d["reason"]) for d in answers(result.stdout)] == [(verdict, reason)]


def test_a_cluster_judges_both_ends_by_address(tmp_path):
    given = packets(
        tmp_path,
        {"id": 1, **FRONT_TO_WEB},
        {"id": 2, **FRONT_TO_WEB, "src": "10.65.1.3"},
        {"id": 3, **FRONT_TO_WEB, "dst": "10.65.1.3"},
        {"id": 4, **FRONT_TO_WEB, "src": "198.51.100.1", "dst": "198.51.100.2"},
    )

    result = calicod("eval", resources(tmp_path), "--cluster", "--packets", given)

    assert [(d["id"], d["verdict"], d["reason"]) for d in answers(result.stdout)] == [
        (1, "allow", "rule"),
        (2, "deny", "end-of-tier"),
        (3, "allow", "profile"),
        (4, "allow", "no-endpoint"),
    ]


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        ({**VALID, "src": "10.65.0.999"}, '"10.65.0.999" is no IP address'),
        ({**VALID, "dst": "fd00::1"}, "different families"),
        ({**VALID, "protocol": "tpc"}, 'protocol "tpc" is neither a number'),
        ({**VALID, "protocol": 256}, 'protocol "256" is neither a number'),
        ({**VALID, "dport": 65536}, "$.dport"),
        ({**VALID, "dport": -1}, "$.dport"),
        ({**VALID, "sport": "80"}, "$.sport"),
        ({**VALID, "dprot": 80}, "unknown field `dprot`"),
        ({**VALID, "hook": "nowhere"}, "$.hook"),
        ({**VALID, "icmp_type": 8}, "icmp_type and icmp_code need protocol icmp, not tcp"),
        ({**VALID, "protocol": "icmp", "icmp_code": 0}, "an icmp_code needs an icmp_type"),
        ({"id": "ok", "dst": "10.65.0.1", "protocol": 6}, "missing required field `src`"),
    ],
)
def test_a_packet_that_is_not_valid_gives_its_error_and_exit_1_and_the_others_are_answered(tmp_path, packet, said):
    given = packets(tmp_path, packet, {**VALID, "id": "next"})

    result = calicod("eval", resources(tmp_path), "--cluster", "--packets", given)

    wrong, right = answers(result.stdout)
    assert result.exit_code == 1
    assert (list(wrong), wrong["id"]) == (["id", "error"], "ok")
    assert str(wrong["error"]).startswith("line 1: ")
    assert said in str(wrong["error"])
    assert (right["id"], right["verdict"]) == ("next", "allow")


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        ({}, "a packet needs `hook`, unless --cluster is given"),
        ({"hook": "input"}, "a packet needs `in` at input"),
        ({"hook": "output"}, "a packet needs `out` at output"),
        ({"hook": "forward", "in": "eth0"}, "a packet needs `out` at forward"),
        ({"hook": "forward", "out": "eth0"}, "a packet needs `in` at forward"),
    ],
)
def test_a_packet_without_its_interfaces_is_not_judged_as_if_it_had_none(tmp_path, packet, said):
    given = packets(tmp_path, {**VALID, **packet})

    result = calicod("eval", resources(tmp_path), "--node", "n1", "--packets", given)

    assert result.exit_code == 1
    assert answers(result.stdout) == [{"id": "ok", "error": f"line 1: {said}"}]


@pytest.mark.parametrize("line", [b"nonsense", b"[1]", b"\xff\xfe", b"[" * 100_000, b'"text"', b"null"])
def test_a_line_that_is_no_packet_at_all_has_no_id(tmp_path, line):
    result = calicod("eval", resources(tmp_path), "--cluster", "--packets", "-", stdin=line + b"\n")

    (answer,) = answers(result.stdout)
    assert (result.exit_code, answer["id"]) == (1, None)
    assert answer["error"]


def test_what_is_null_is_absent(tmp_path):
    nothing = dict.fromkeys(("hook", "in", "out", "icmp_type", "icmp_code", "http", "src_principal"))

    result = calicod("eval", resources(tmp_path), "--cluster", "--packets", packets(tmp_path, {**VALID, **nothing}))

    assert result.exit_code == 0
    assert [d["verdict"] for d in answers(result.stdout)] == ["allow"]


def test_http_and_principal_are_accepted(tmp_path):
    more = {"http": {"method": "GET", "path": "/"}, "src_principal": "spiffe://cluster.local/ns/shop/sa/front"}

    result = calicod("eval", resources(tmp_path), "--cluster", "--packets", packets(tmp_path, {**VALID, **more}))

    assert (result.exit_code, answers(result.stdout)[0]["verdict"]) == (0, "allow")


@pytest.mark.parametrize(
    ("packet", "verdict"),
    [
        ({"src": "192.0.2.9", "dst": "10.65.0.11", "protocol": "icmp", "icmp_type": 8, "icmp_code": 0}, "allow"),
        ({"src": "2001:db8::9", "dst": "fd00:65::11", "protocol": "icmp", "icmp_type": 128}, "allow"),
        ({"src": "2001:db8::9", "dst": "fd00:65::11", "protocol": "ICMPv6", "icmp_type": 129}, "deny"),
        ({"src": "2001:db8::9", "dst": "fd00:65::11", "protocol": 1, "icmp_type": 8}, "deny"),
        ({"src": "192.0.2.9", "dst": "10.65.0.11", "protocol": 47}, "deny"),
        ({"src": "192.0.2.9", "dst": "10.65.0.11", "protocol": "6", "dport": 80}, "allow"),
    ],
)
def test_protocols_go_by_name_in_any_case_or_by_number(tmp_path, packet, verdict):
    folder = EXAMPLES / "07-with-and-without-policy"

    result = calicod("eval", folder, "--cluster", "--packets", packets(tmp_path, {"id": 1, **packet}))

    assert [d["verdict"] for d in answers(result.stdout)] == [verdict]


def test_every_line_is_answered_in_order_and_blank_ones_are_none(tmp_path):
    lines = "\n\n".join(json.dumps({**VALID, "id": number}) for number in range(1500))

    result = calicod("eval", resources(tmp_path), "--cluster", "--packets", "-", stdin=lines)

    assert [d["id"] for d in answers(result.stdout)] == list(range(1500))


def test_resources_with_errors_are_told_and_nothing_is_judged(tmp_path):
    given = packets(tmp_path, VALID)

    result = calicod("eval", EXAMPLES / "10-mistyped", "--cluster", "--packets", given)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "policy.yaml:5:1: Y017" in result.stderr


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_packets_that_cannot_be_read_are_wrong_usage(tmp_path, name):
    result = calicod("eval", resources(tmp_path), "--cluster", "--packets", tmp_path / name)

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"--packets: {tmp_path / name}" in result.stderr


def test_what_staged_policies_would_decide_is_told_beside_the_verdict(tmp_path):
    staged = """
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: try, namespace: shop}
spec: {order: 1, selector: app == 'web', ingress: [{action: Deny, protocol: TCP}]}
"""
    given = packets(tmp_path, {"id": 1, **FRONT_TO_WEB, **FORWARD}, {"id": 2, **FRONT_TO_WEB})
    on_node = calicod("eval", resources(tmp_path, staged), "--node", "n1", "--packets", given)
    in_cluster = calicod("eval", resources(tmp_path, staged), "--cluster", "--packets", given)

    (decision, _), (_, joined) = answers(on_node.stdout), answers(in_cluster.stdout)
    trace = ["0|__PROFILE__|pro:open|allow|0", "1|default|snp:shop/try|deny|0"]
    assert (decision["verdict"], decision["pending"]) == ("allow", {"verdict": "deny", "trace": trace})
    assert (joined["verdict"], joined["pending"]) == ("allow", {"verdict": "deny", "trace": trace})


STAGES = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: nic, labels: {host: here}}
spec: {node: n1, interfaceName: eth5}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: raw}
spec: {selector: has(host), applyOnForward: true, doNotTrack: true, ingress: [{action: Deny, protocol: UDP}]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: early}
spec: {selector: has(host), applyOnForward: true, preDNAT: true, ingress: [{action: Deny, protocol: SCTP}]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: forward}
spec: {selector: has(host), applyOnForward: true, ingress: [{action: Allow, protocol: TCP}]}
"""


@pytest.mark.parametrize(
    ("packet", "verdict", "policy"),
    [
        ({"hook": "raw-prerouting", "in": "eth5", "protocol": "udp"}, "deny", "raw"),
        ({"hook": "prerouting", "in": "eth5", "protocol": "sctp"}, "deny", "early"),
        ({"hook": "input", "in": "eth5", "protocol": "udp"}, "deny", "raw"),
        ({"hook": "forward", "in": "eth5", "out": "eth5", "protocol": "sctp"}, "deny", "early"),
        ({"hook": "forward", "in": "eth5", "out": "eth5", "protocol": 47}, "deny", "forward"),
        ({"hook": "forward", "in": "eth5", "out": "eth5"}, "allow", "forward"),
        ({"hook": "prerouting", "in": "eth5"}, "allow", None),
        ({"hook": "raw-output", "out": "eth5"}, "allow", None),
    ],
)
def test_the_answer_at_a_hook_is_what_becomes_of_a_packet_on_its_whole_way_there(tmp_path, packet, verdict, policy):
    given = {"id": 1, "src": "198.51.100.9", "dst": "192.0.2.9", "protocol": "tcp", **packet}

    result = calicod("eval", resources(tmp_path, STAGES), "--node", "n1", "--packets", packets(tmp_path, given))

    (decision,) = answers(result.stdout)
    assert (result.exit_code, decision["verdict"]) == (0, verdict)
    assert decision["policy"] is None if policy is None else decision["policy"]["name"] == policy
