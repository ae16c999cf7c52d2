"""One rule of a policy or profile: its criteria, and which of them go together (semantics 2.1, 2.2).

Law: every criterion that is written is either in the Rule or refused: a rule that lost one would match too much.
"""

from collections.abc import Callable

from calicod.model.action import Action
from calicod.model.protocol import ICMP, ICMPV6, RULE_PORTS, Protocol
from calicod.resources.application import http
from calicod.resources.document import Node
from calicod.resources.kinds import EntityRule, IcmpMatch, Port, Rule, ServiceAccountMatch
from calicod.resources.names import annotations, text_or_empty
from calicod.resources.networks import excluded_network, rule_network
from calicod.resources.ports import implied_family, protocol, rule_port
from calicod.resources.report import Report
from calicod.resources.scalars import Reader, between, choice, integer
from calicod.resources.selectors import rule_namespace_selector, selector
from calicod.resources.services import check_services, services
from calicod.resources.shapes import shape_of, shaped
from calicod.resources.table import Field, Fields, find, is_mapping, list_of, mapping, read, struct

MAX_RULES = 1024
MAX_NETS = 256
MAX_PORTS = 50
SIDES = SOURCE, DESTINATION = ("source", "destination")

_ACTIONS = {action.value: action for action in Action}
_ACTION = choice(tuple(_ACTIONS), "R001")


@shaped(lambda: shape_of(_ACTION))
def _action(node: Node, report: Report) -> Action | None:
    value = _ACTION(node, report)
    return _ACTIONS[value] if value else None


@shaped({"enum": [4, 6]})
def _ip_version(node: Node, report: Report) -> int | None:
    value = integer(node, report)
    if value is None or value in {4, 6}:
        return value
    report.error("R003", node, f"ipVersion {value} does not exist, expected 4 or 6")
    return None


_ICMP = struct(
    IcmpMatch,
    {
        "type": Field("type", between(0, 254, "R008", "ICMP type")),
        "code": Field("code", between(0, 255, "R008", "ICMP code")),
    },
)
_SERVICE_ACCOUNTS = struct(
    ServiceAccountMatch,
    {
        # Of any form: Calico checks them no further (semantics 1.15).
        "names": Field("names", list_of(text_or_empty, unique=True)),
        "selector": Field("selector", selector("R022", limit=0)),
    },
)


@shaped(lambda: shape_of(_ICMP))
def _icmp(node: Node, report: Report) -> IcmpMatch | None:
    match = _ICMP(node, report)
    if match and match.code is not None and match.type is None and find(node, "type") is None:
        report.error("R008", node, "an ICMP code needs a type", hint="add `type:`", field="type")
    return match


@shaped(lambda: shape_of(_SERVICE_ACCOUNTS))
def _service_accounts(node: Node, report: Report) -> ServiceAccountMatch | None:
    match = _SERVICE_ACCOUNTS(node, report)
    # `serviceAccounts: {}` is no restriction (semantics 2.11).
    return match if match and (match.names or match.selector) else None


_nets = list_of(rule_network, limit=MAX_NETS, code="R025", unique=True)
_not_nets = list_of(excluded_network, limit=MAX_NETS, code="R025", unique=True)
_ports = list_of(rule_port, limit=MAX_PORTS, code="R025")

ENTITY: Fields = {
    "nets": Field("nets", _nets),
    "notNets": Field("not_nets", _not_nets),
    "ports": Field("ports", _ports),
    "notPorts": Field("not_ports", _ports),
    "selector": Field("selector", selector("R022", global_code="R023")),
    "notSelector": Field("not_selector", selector("R022")),
    "namespaceSelector": Field("namespace_selector", rule_namespace_selector),
    "serviceAccounts": Field("service_accounts", _service_accounts),
    "services": Field("services", services),
}
ENTITY_MISPLACED = {
    "podSelector": "write selector: with Calico's selector language",
    "ipBlock": "write nets: and notNets:",
    "port": "write ports: [ … ]",
    "protocol": "protocol belongs to the rule, beside action",
}
RULE: Fields = {
    "action": Field("action", _action, required="R001", placeholder=Action.DENY),
    "ipVersion": Field("ip_version", _ip_version),
    "protocol": Field("protocol", protocol),
    "notProtocol": Field("not_protocol", protocol),
    "icmp": Field("icmp", _icmp),
    "notICMP": Field("not_icmp", _icmp),
    "source": Field("source", struct(EntityRule, ENTITY, misplaced=ENTITY_MISPLACED)),
    "destination": Field("destination", struct(EntityRule, ENTITY, misplaced=ENTITY_MISPLACED)),
    "http": Field("", http),
    "metadata": Field("", struct(dict, {"annotations": Field("annotations", annotations("R028"))})),
}
RULE_MISPLACED = {name: f"{name} belongs under source: or destination:" for name in ENTITY} | {
    "from": "write source:",
    "to": "write destination:",
    "port": "write destination: { ports: [ … ] }",
}


def rules(direction: str) -> Reader[tuple[Rule, ...]]:
    """The rules of one direction, `ingress` or `egress`."""
    make: Callable[..., Rule] = Rule

    @shaped(lambda: mapping(RULE, "Rule"))
    def read_rule(node: Node, report: Report) -> Rule | None:
        if not is_mapping(node, report):
            return None
        rule = make(**read(node, RULE, report, RULE_MISPLACED), place=report.place(node))
        _check_protocols(rule, node, report)
        _check_ports(rule, node, report)
        _check_families(rule, node, report)
        written = {key.value for key, _ in node.value}
        if "http" in written and find(node, "http") is not None:
            _check_http(rule, node, direction, report)
        for side in SIDES:
            if side in written and find(node, side, "services") is not None:
                check_services(node, side, direction, report)
        return rule

    return list_of(read_rule, limit=MAX_RULES, code="R002")


def _check_protocols(rule: Rule, node: Node, report: Report) -> None:
    """R7: icmp needs an ICMP protocol. R9: an ICMP of one family with the other's ipVersion."""
    if rule.icmp is not None and not _is_icmp(rule, node):
        hint = "add `protocol: ICMP` or `protocol: ICMPv6`" if rule.protocol is None else None
        report.error("R007", find(node, "icmp") or node, "icmp needs protocol ICMP or ICMPv6", hint=hint)
    for name, found in (("protocol", rule.protocol), ("notProtocol", rule.not_protocol)):
        family = implied_family(found) if found and rule.ip_version else None
        if family and family != rule.ip_version:
            place = find(node, name) or node
            report.error("R009", place, f"{_family_name(found)} needs ipVersion {family}, found {rule.ip_version}")


def _is_icmp(rule: Rule, node: Node) -> bool:
    """Its protocol is one of ICMP, or cannot be read, which is told elsewhere."""
    if rule.protocol is None:
        return find(node, "protocol") is not None
    return rule.protocol.number in {ICMP, ICMPV6}


def _family_name(found: Protocol | None) -> str:
    return "ICMP" if found and found.number == ICMP else "ICMPv6"


def _check_ports(rule: Rule, node: Node, report: Report) -> None:
    """R5: numbers need a protocol. R6: only TCP, UDP and SCTP have ports."""
    for side, entity in ((SOURCE, rule.source), (DESTINATION, rule.destination)):
        if entity.ports:
            _check_port_list(rule, entity.ports, node, (side, "ports"), report)
        if entity.not_ports:
            _check_port_list(rule, entity.not_ports, node, (side, "notPorts"), report)


def _check_port_list(rule: Rule, ports: tuple[Port, ...], node: Node, path: tuple[str, str], report: Report) -> None:
    if rule.protocol is not None and rule.protocol.number in RULE_PORTS:
        return
    place = find(node, *path) or node
    if rule.protocol is None:
        if find(node, "protocol") is None and any(not isinstance(port, str) for port in ports):
            report.error("R005", place, "numbers of ports need a protocol", hint="add `protocol: TCP`")
    else:
        report.error("R006", place, "ports need protocol TCP, UDP or SCTP")


def _check_families(rule: Rule, node: Node, report: Report) -> None:
    """R10: IPv4 and IPv6 in one rule. R11: the other family than ipVersion."""
    source, destination = rule.source, rule.destination
    if not (source.nets or source.not_nets or destination.nets or destination.not_nets):
        return
    first = rule.ip_version
    for side, entity in ((SOURCE, source), (DESTINATION, destination)):
        for name, nets in (("nets", entity.nets), ("notNets", entity.not_nets)):
            for net in nets:
                first = first or net.family
                if net.family != first:
                    place = find(node, side, name) or node
                    _refuse_family(rule, str(net), place, report)
                    return


def _refuse_family(rule: Rule, net: str, place: Node, report: Report) -> None:
    if rule.ip_version:
        report.error("R011", place, f"{net} is not of ipVersion {rule.ip_version}")
    else:
        hint = "write one rule for each family"
        report.error(
            "R010", place, f"a rule cannot have IPv4 and IPv6 networks: {net} is of the other family", hint=hint
        )


def _check_http(rule: Rule, node: Node, direction: str, report: Report) -> None:
    """R14 to R16: where an http criterion may stand at all."""
    place = find(node, "http") or node
    if find(node, "action") is not None and rule.action is not Action.ALLOW:
        report.error("R014", place, "http is only valid in a rule with action Allow")
    if rule.protocol is not None and rule.protocol.number != 6:  # noqa: PLR2004  # TCP
        report.error("R015", place, "http needs protocol TCP, or none")
    if direction == "egress":
        report.error("R016", place, "http is not allowed in an egress rule")
