"""Rules: R1 to R13, R25, R28 of semantics 2.2, and what is accepted though one may expect otherwise."""

import pytest

from calicod.errors import Place
from calicod.model.action import Action
from calicod.resources.kinds import ANYONE, EntityRule, IcmpMatch, Rule, ServiceAccountMatch
from calicod.resources.load import load
from tests.unit.resources.reading import Finding, errors, one, refused, refused_rule, rule, text, warned


@pytest.mark.parametrize(
    "flow",
    [
        "{action: Allow}",
        "{action: Log}",
        "{action: Pass}",
        "{action: Allow, ipVersion: 4}",
        "{action: Allow, ipVersion: 6.0}",
        "{action: Deny, protocol: TCP, destination: {ports: [80]}}",
        "{action: Deny, destination: {ports: [http]}}",
        "{action: Deny, protocol: 132, source: {ports: [1, a]}, destination: {ports: ['1:2']}}",
        "{action: Deny, protocol: ICMP, source: {ports: [], notPorts: []}}",
        "{action: Allow, protocol: ICMP, icmp: {type: 8}}",
        "{action: Allow, protocol: 58, icmp: {type: 0, code: 255}}",
        "{action: Allow, protocol: ICMP, icmp: {type: 254}}",
        "{action: Allow, notICMP: {type: 8}}",
        "{action: Allow, icmp: null}",
        "{action: Allow, ipVersion: 4, protocol: ICMP}",
        "{action: Allow, ipVersion: 6, protocol: 58}",
        "{action: Allow, protocol: TCP, notProtocol: TCP}",
        "{action: Allow, source: {nets: [10.0.0.0/8]}, destination: {notNets: [11.0.0.0/8]}}",
        "{action: Allow, source: {nets: [10.0.0.0/8, 10.1.0.0/16]}}",
        "{action: Allow, source: {nets: [10.0.0.0/8, '::ffff:11.0.0.0/104']}}",
        "{action: Allow, ipVersion: 6, source: {nets: ['fd00::/8']}}",
        "{action: Allow, source: {}, destination: null}",
        "{action: Allow, source: {serviceAccounts: {names: [A_b, '']}}}",
        "{action: Allow, metadata: {annotations: {a/b: 'any text'}}}",
    ],
)
@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_a_rule_like_this_is_accepted(direction, flow):
    assert getattr(one("NetworkPolicy", f"{direction}:\n- {flow}"), direction)


@pytest.mark.parametrize(
    ("flow", "code", "path", "hint"),
    [
        ("«{protocol: TCP}", "R001", "action", None),
        ("«{action: null}", "R001", "action", None),
        ("{action: «allow}", "R001", "action", "write Allow"),
        ("{action: «Reject}", "R001", "action", None),
        ("{action: Allow, ipVersion: «5}", "R003", "ipVersion", None),
        ("{action: Allow, ipVersion: «'4'}", "Y010", "ipVersion", "write 4 without quotes"),
        ("{action: Allow, destination: {ports: «[80]}}", "R005", "destination.ports", "add `protocol: TCP`"),
        ("{action: Allow, source: {notPorts: «[a, '1:2']}}", "R005", "source.notPorts", "add `protocol: TCP`"),
        ("{action: Allow, protocol: ICMP, source: {ports: «[a]}}", "R006", "source.ports", None),
        ("{action: Allow, protocol: UDPLite, source: {notPorts: «[1]}}", "R006", "source.notPorts", None),
        ("{action: Allow, protocol: 2, destination: {ports: «[1]}}", "R006", "destination.ports", None),
        ("{action: Allow, icmp: «{type: 8}}", "R007", "icmp", "add `protocol: ICMP` or `protocol: ICMPv6`"),
        ("{action: Allow, protocol: TCP, icmp: «{type: 8}}", "R007", "icmp", None),
        ("{action: Allow, protocol: ICMP, icmp: «{code: 0}}", "R008", "icmp.type", "add `type:`"),
        ("{action: Allow, notICMP: «{code: 0}}", "R008", "notICMP.type", "add `type:`"),
        ("{action: Allow, notICMP: {type: «255}}", "R008", "notICMP.type", None),
        ("{action: Allow, protocol: 1, icmp: {type: «-1}}", "R008", "icmp.type", None),
        ("{action: Allow, protocol: 1, icmp: {type: 1, code: «256}}", "R008", "icmp.code", None),
        ("{action: Allow, ipVersion: 6, protocol: «ICMP}", "R009", "protocol", None),
        ("{action: Allow, ipVersion: 6, notProtocol: «1}", "R009", "notProtocol", None),
        ("{action: Allow, ipVersion: 4, protocol: «58}", "R009", "protocol", None),
        ("{action: Allow, ipVersion: 4, notProtocol: «ICMPv6}", "R009", "notProtocol", None),
        ("{action: Allow, ipVersion: 6, source: {nets: «[10.0.0.0/8]}}", "R011", "source.nets", None),
        ("{action: Allow, ipVersion: 4, source: {notNets: «['fd00::/8']}}", "R011", "source.notNets", None),
        ("{action: Allow, metadata: {annotations: {«a b: c}}}", "R028", "metadata.annotations.a b", None),
        ("{action: Allow, metadata: {«labels: {}}}", "Y011", "metadata.labels", "known here: annotations"),
        ("{action: Allow, «from: []}", "Y017", "from", "write source:"),
        ("{action: Allow, «ports: [80]}", "Y017", "ports", "ports belongs under source: or destination:"),
        ("{action: Allow, source: {«port: 80}}", "Y017", "source.port", "write ports: [ … ]"),
        ("{action: Allow, source: {«ipBlock: {}}}", "Y017", "source.ipBlock", "write nets: and notNets:"),
        (
            "{action: Allow, source: {«protocol: TCP}}",
            "Y017",
            "source.protocol",
            "protocol belongs to the rule, beside action",
        ),
        ("{action: Allow, source: «[10.0.0.0/8]}", "Y010", "source", None),
        ("{action: Allow, source: {nets: «10.0.0.0/8}}", "Y010", "source.nets", "write it as a list: [ … ]"),
        ("«Allow", "Y010", "", None),
    ],
)
def test_a_rule_like_this_is_refused(flow, code, path, hint):
    assert refused_rule(flow) == [Finding(code, path, hint)]


@pytest.mark.parametrize(
    ("flow", "path"),
    [
        ("{action: Allow, source: {nets: [10.0.0.0/8]}, destination: {nets: «['fd00::/8']}}", "destination.nets"),
        ("{action: Allow, source: {nets: [10.0.0.0/8], notNets: «['fd00::/8']}}", "source.notNets"),
        ("{action: Allow, source: {nets: «[10.0.0.0/8, 'fd00::/8']}}", "source.nets"),
        (
            "{action: Allow, source: {notNets: ['fd00::/8']}, destination: {notNets: «[10.0.0.0/8]}}",
            "destination.notNets",
        ),
    ],
)
def test_a_rule_cannot_mix_the_families(flow, path):
    assert refused_rule(flow) == [Finding("R010", path, "write one rule for each family")]


@pytest.mark.parametrize(
    ("field", "entry", "limit"),
    [
        ("nets", "10.{0}.{1}.0/24", 256),
        ("notNets", "10.{0}.{1}.0/24", 256),
        ("ports", "{0}{1:02}", 50),
        ("notPorts", "{0}{1:02}", 50),
    ],
)
def test_lists_of_a_rule_have_limits(field, entry, limit):
    entries = [entry.format(1 + number // 100, number % 100) for number in range(limit + 1)]
    flow = "{{action: Allow, protocol: TCP, source: {{{0}: «[{1}]}}}}"

    assert (
        len(getattr(rule(flow.replace("«", "").format(field, ", ".join(entries[:-1]))).source, snake(field))) == limit
    )
    assert refused_rule(flow.format(field, ", ".join(entries))) == [Finding("R025", f"source.{field}")]


def snake(field):
    return {"notNets": "not_nets", "notPorts": "not_ports"}.get(field, field)


def test_a_direction_has_at_most_1024_rules():
    rules = ["{action: Allow}"] * 1024

    assert len(one("NetworkPolicy", f"ingress: [{', '.join(rules)}]").ingress) == 1024
    assert refused("NetworkPolicy", f"egress: «[{', '.join([*rules, '{action: Deny}'])}]") == [
        Finding("R002", "spec.egress")
    ]


@pytest.mark.parametrize(
    ("field", "twice"),
    [("nets", "10.0.0.0/8"), ("notNets", "10.0.0.0/8"), ("serviceAccounts: {names", "a")],
)
def test_duplicates_mean_nothing_and_are_told(field, twice):
    path = field.replace(": {", ".")
    flow = f"{{action: Allow, source: {{{field}: [{twice}, «{twice}]{'}' * field.count('{')}}}}}"

    assert warned("GlobalNetworkPolicy", f"ingress:\n- {flow}") == [
        Finding("W002", f"spec.ingress[0].source.{path}[1]", "remove one")
    ]


def test_every_criterion_that_is_written_is_in_the_rule():
    read = rule(
        """action: Pass
  ipVersion: 4
  protocol: ICMP
  notProtocol: 7
  icmp: {type: 3, code: 4}
  notICMP: {type: 5}
  source: {nets: [10.0.0.0/8], notNets: [10.1.0.0/16], selector: has(a), notSelector: has(b)}
  destination: {namespaceSelector: has(c), serviceAccounts: {names: [d], selector: has(e)}}
"""
    )
    assert read.source != ANYONE
    assert read.destination != ANYONE
    written = {name for name in Rule.__struct_fields__ if getattr(read, name) is not None}
    source = {name for name in EntityRule.__struct_fields__ if getattr(read.source, name)}
    destination = {name for name in EntityRule.__struct_fields__ if getattr(read.destination, name)}

    assert written == set(Rule.__struct_fields__)
    assert source == {"nets", "not_nets", "selector", "not_selector"}
    assert destination == {"namespace_selector", "service_accounts"}
    assert (read.action, read.ip_version, read.icmp, read.not_icmp) == (Action.PASS, 4, IcmpMatch(3, 4), IcmpMatch(5))
    assert isinstance(read.destination.service_accounts, ServiceAccountMatch)
    assert read.place == Place("f.yaml", 8, 5)


def test_empty_service_accounts_are_no_restriction():
    assert rule("{action: Allow, source: {serviceAccounts: {}}}").source == ANYONE
    assert rule("{action: Allow, source: {serviceAccounts: {names: []}}}").source == ANYONE


def test_a_broken_protocol_gives_no_second_finding_about_ports():
    flow = "{action: Allow, protocol: «tcp, icmp: {type: 1}, destination: {ports: [80]}}"

    assert [told.code for told in refused_rule(flow)] == ["R004"]


def test_each_rule_of_many_is_told_with_its_number():
    loaded = load(text("NetworkPolicy", "egress:\n" + 3 * "- {action: Allow, protocol: tcp}\n"), "f.yaml")

    assert [told.path for told in loaded.diagnostics] == [f"spec.egress[{number}].protocol" for number in range(3)]
    assert errors(loaded) == ["R004"] * 3
