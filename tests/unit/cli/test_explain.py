import json

import pytest

from tests.unit.cli.offline import EXAMPLES, calicod, resources

RED, BLUE, GREEN = "10.65.0.11", "10.65.0.12", "10.65.0.13"
FIRST = EXAMPLES / "01-allow-within-namespace"
HOST = EXAMPLES / "08-host-endpoint-alone"


def asked(*arguments: object) -> dict[str, object]:
    result = calicod("explain", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    answer: dict[str, object] = json.loads(result.stdout)
    return answer


def test_a_refused_connection_is_told_rule_by_rule_with_the_field_that_failed():
    result = calicod("explain", FIRST, "--src", GREEN, "--dst", RED, "--protocol", "tcp", "--dport", 6379)

    assert result.exit_code == 0
    rule = next(line for line in result.stdout.splitlines() if "rule 0 Allow" in line and "policy.yaml" in line)
    assert rule.startswith(f"       - rule 0 Allow  {FIRST}/policy.yaml:15  source {GREEN} is not in selector (")
    assert 'color == "blue"' in rule
    assert "     end of tier: deny" in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last.startswith("DENIED (end-of-tier): no rule of the tier default matches")
    assert last.endswith(f"NetworkPolicy production/allow-tcp-6379 ({FIRST}/policy.yaml:5)")


def test_an_allowed_connection_ends_with_the_rule_that_allowed_it():
    result = calicod("explain", FIRST, "--src", BLUE, "--dst", RED, "--dport", 6379)

    assert result.stdout.splitlines()[-1] == (
        f"ALLOWED (rule): rule 0 of NetworkPolicy production/allow-tcp-6379 ({FIRST}/policy.yaml:15) says so"
    )


def test_both_ends_are_told_in_order_and_the_second_only_if_the_first_allows():
    folder = EXAMPLES / "05-egress-to-a-network"
    allowed = asked(FIRST, "--src", BLUE, "--dst", RED, "--dport", 6379)
    denied = asked(folder, "--src", RED, "--dst", BLUE, "--dport", 80)

    assert [(s["direction"], s["verdict"]) for s in allowed["stages"]] == [("egress", "allow"), ("ingress", "allow")]
    assert [(s["direction"], s["verdict"]) for s in denied["stages"]] == [("egress", "deny")]
    assert denied["unasked"] == ["ingress of WorkloadEndpoint production/node-k8s-blue-eth0"]


def test_json_has_the_keys_of_a_decision_and_all_that_led_to_it(tmp_path):
    answer = asked(resources(tmp_path), "--src", "10.65.0.2", "--dst", "10.65.0.1", "--dport", 80, "--sport", 1024)

    assert {"verdict", "reason", "policy", "trace", "pending", "why", "node", "hook", "in", "out", "stages"} <= set(
        answer
    )
    assert (answer["node"], answer["hook"], answer["in"], answer["out"]) == ("n1", "forward", "califront", "caliweb")
    assert answer["packet"] == {
        "src": "10.65.0.2",
        "dst": "10.65.0.1",
        "protocol": "tcp",
        "sport": 1024,
        "dport": 80,
    }
    (party,) = answer["src"]
    assert (party["type"], party["name"], party["labels"]["app"]) == ("WorkloadEndpoint", "n1-k8s-front-eth0", "front")


def test_explain_and_eval_agree_on_every_flow_of_the_example(tmp_path):
    for port in (80, 81):
        packet = {"id": 1, "src": "10.65.0.2", "dst": "10.65.0.1", "protocol": "tcp", "sport": 49152, "dport": port}
        evaluated = calicod("eval", resources(tmp_path), "--cluster", "--packets", "-", stdin=json.dumps(packet))
        explained = asked(
            resources(tmp_path), "--cluster", "--src", packet["src"], "--dst", packet["dst"], "--dport", port
        )

        decision = json.loads(evaluated.stdout)
        assert decision.pop("id") == 1
        assert decision == {key: explained[key] for key in decision}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--src", "192.0.2.9", "--dst", "192.0.2.1", "--dport", 22, "--hook", "input", "--in", "eth0"),
         "ALLOWED (failsafe): tcp port 22 is a failsafe port of the host"),
        (("--src", "192.0.2.9", "--dst", "192.0.2.1", "--dport", 80, "--hook", "input", "--in", "eth0"),
         "DENIED (no-profile): no policy decided, and no profile of HostEndpoint node-eth0 allows it"),
        (("--src", "192.0.2.1", "--dst", GREEN, "--dport", 80, "--hook", "output"),
         "ALLOWED (host-to-workload): the host always reaches its own workloads"),
        (("--src", GREEN, "--dst", "192.0.2.1", "--dport", 80, "--hook", "input"),
         "DENIED (endpoint-to-host): the egress policy of WorkloadEndpoint production/node-k8s-green-eth0 allows it"),
        (("--src", "10.65.9.9", "--dst", GREEN, "--dport", 80, "--in", "calistranger"),
         "DENIED (unknown-interface): a workload interface without an endpoint"),
        (("--src", "fd00:65::13", "--dst", "ff02::2", "--hook", "input", "--protocol", "icmp", "--icmp-type", 133),
         "ALLOWED (neighbour-discovery): a workload always may send IPv6 neighbour discovery"),
        (("--src", GREEN, "--dst", "192.0.2.9", "--protocol", "udp", "--dport", 4789),
         "DENIED (tunnel-from-workload): a workload may not send packets of a tunnel"),
        (("--src", "192.0.2.9", "--dst", "192.0.2.1", "--dport", 80, "--hook", "input", "--in", "eth7"),
         "ALLOWED (no-endpoint): no endpoint judges it"),
    ],
)  # fmt: skip
def test_what_is_decided_without_any_policy_is_said_plainly(arguments, said):
    result = calicod("explain", HOST, "--node", "node", *arguments)

    assert result.stdout.splitlines()[-1].startswith(said)


def test_a_mistyped_interface_is_answered_with_those_that_have_endpoints():
    result = calicod(
        "explain", HOST, "--src", "192.0.2.9", "--dst", "192.0.2.1", "--dport", 22, "--hook", "input", "--in", "eht0"
    )

    assert "interfaces with an endpoint on node node: eth0 (HostEndpoint node-eth0), caligreen (" in result.stdout


def test_what_was_not_given_is_assumed_and_said():
    result = calicod("explain", FIRST, "--src", GREEN, "--dst", RED, "--protocol", "icmp")

    said = [line.strip() for line in result.stdout.splitlines() if line.startswith("  assumed ")]
    assert said[:2] == [
        "assumed ICMP type 8, an echo request",
        "assumed node node: an endpoint with one of the addresses is there",
    ]
    assert said[2].startswith("assumed hook forward, in caligreen, out calired: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--src", "red", "--dst", RED, "--dport", 1), '"red" is no IP address'),
        (("--src", GREEN, "--dst", "fd00::1", "--dport", 1), "are of different families"),
        (("--src", GREEN, "--dst", RED), "--dport: tcp packets go to a port: add --dport PORT"),
        (("--src", GREEN, "--dst", RED, "--protocol", "icmp", "--dport", 1), "--dport: icmp packets have no ports"),
        (("--src", GREEN, "--dst", RED, "--dport", 1, "--icmp-type", 8), "icmp packets have no ports"),
        (("--src", GREEN, "--dst", RED, "--protocol", "tcp", "--dport", 1, "--icmp-code", 0), "have no ICMP type"),
        (("--src", GREEN, "--dst", RED, "--protocol", "tpc", "--dport", 1), '--protocol: protocol "tpc" is neither'),
        (("--src", GREEN, "--dst", RED, "--dport", 65536), "--dport"),
        (("--src", GREEN, "--dst", RED, "--dport", 1, "--hook", "raw"), "--hook"),
        (("--dst", RED, "--dport", 1), "--src"),
    ],
)
def test_a_packet_that_cannot_be_is_wrong_usage(arguments, said):
    result = calicod("explain", FIRST, *arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_resources_with_errors_are_told_and_nothing_is_explained():
    result = calicod("explain", EXAMPLES / "10-mistyped", "--src", GREEN, "--dst", RED, "--dport", 1)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "policy.yaml:5:1: Y017" in result.stderr
    assert "name belongs under metadata" in result.stderr


def test_a_packet_that_only_has_a_protocol_number_is_explained():
    answer = asked(FIRST, "--src", GREEN, "--dst", RED, "--protocol", 47)

    assert (answer["verdict"], answer["packet"]) == ("deny", {"src": GREEN, "dst": RED, "protocol": "47"})


STAGED = """
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: try, namespace: shop}
spec: {order: 1, selector: app == 'web', ingress: [{action: Deny, protocol: TCP}]}
"""


def test_what_staged_policies_would_do_is_told_last(tmp_path):
    result = calicod("explain", resources(tmp_path, STAGED), "--src", "10.65.0.2", "--dst", "10.65.0.1", "--dport", 80)

    lines = result.stdout.splitlines()
    allowed = next(number for number, line in enumerate(lines) if line.startswith("ALLOWED (rule)"))
    assert lines[allowed + 2].startswith(
        "with the staged policies enforced it would be denied: rule 0 of StagedNetworkPolicy shop/try ("
    )
    assert "matches: deny" in lines[-2]


def test_json_tells_what_staged_policies_would_do_with_all_that_led_to_it(tmp_path):
    answer = asked(resources(tmp_path, STAGED), "--src", "10.65.0.2", "--dst", "10.65.0.1", "--dport", 80)

    assert answer["verdict"] == "allow"
    assert answer["pending"]["verdict"] == "deny"
    assert answer["pending"]["trace"] == ["0|__PROFILE__|pro:open|allow|0", "1|default|snp:shop/try|deny|0"]
    assert answer["pending"]["why"].startswith("rule 0 of StagedNetworkPolicy shop/try (")
    assert [stage["direction"] for stage in answer["pending"]["stages"]] == ["egress", "ingress"]


STAGES = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: early}
spec: {applyOnForward: true, preDNAT: true, ingress: [{action: Deny, protocol: UDP}]}
"""


@pytest.mark.parametrize(
    ("hook", "phases"), [("input", ["preDNAT", "normal"]), ("prerouting", ["preDNAT"]), ("raw-prerouting", [])]
)
def test_early_policy_of_a_host_endpoint_is_told_before_the_others(tmp_path, hook, phases):
    answer = asked(
        *(resources(tmp_path, STAGES), "--node", "n1", "--hook", hook, "--in", "eth0"),
        *("--src", "198.51.100.9", "--dst", "192.0.2.1", "--dport", 80),
    )

    assert [stage["phase"] for stage in answer["stages"]] == phases
    assert answer["hook"] == hook


@pytest.mark.parametrize("more", [[str(FIRST)], ["--node", "n1"], ["--cluster"]])
def test_live_takes_nothing_that_the_daemon_knows_itself(more):
    result = calicod("explain", "--live", *more, "--src", GREEN, "--dst", RED, "--dport", 6379)

    assert (result.exit_code, "--live: " in result.stderr) == (2, True)


def test_live_without_a_daemon_exits_3(tmp_path):
    socket = ("--socket", tmp_path / "c.sock")

    assert calicod("explain", "--live", *socket, "--src", GREEN, "--dst", RED, "--dport", 6379).exit_code == 3
