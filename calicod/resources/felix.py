"""FelixConfiguration (semantics 1.13): what calicod applies, what means nothing to it, and what it must refuse.

Law: a value that would change verdicts is applied or refused, never ignored; one that cannot change any is accepted
with a warning that it has no effect.
"""

import re
from collections.abc import Callable

from calicod.model.network import Network
from calicod.model.ports import PortRange
from calicod.model.protocol import TCP, UDP
from calicod.resources.document import Mapping, Node
from calicod.resources.felixnames import INERT
from calicod.resources.kinds import Failsafe, FelixConfiguration, Metadata, Port
from calicod.resources.networks import any_network
from calicod.resources.ports import rule_port
from calicod.resources.report import Report
from calicod.resources.scalars import Reader, between, boolean, choice, integer, quoted, scalar, shown, text
from calicod.resources.selectors import selector
from calicod.resources.shapes import ANYTHING, NETWORK, TEXT, or_empty, shape_of, shaped, text_like, words_in_any_case
from calicod.resources.table import Field, Fields, find, items, list_of, mapping, read, struct

VALUE = "P038"
MAX_PORT = 65535
MAX_RANGES = 7
OVERRIDE = "config.projectcalico.org/"
_PREFIX = re.compile(r"(?!lo?$)[a-zA-Z0-9:._][a-zA-Z0-9:._+-]{0,14}(?<!\+)")
"""None that iptables cannot name (it would hold up every other change), and none of `lo`'s: the host needs it."""
_LOG_PREFIX = re.compile(r"[a-zA-Z0-9%: /_-]*")
_RATE = re.compile(r"[1-9][0-9]{0,3}/(second|minute|hour|day)")
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))*")
_PROTOCOLS = {"tcp": TCP, "udp": UDP}

_port = between(0, MAX_PORT, VALUE, "port")
_any_network = any_network("P033")


@shaped(words_in_any_case(*_PROTOCOLS))
def _failsafe_protocol(node: Node, report: Report) -> int | None:
    value = text(node, report)
    if value is None:
        return None
    number = _PROTOCOLS.get(value.lower())
    if number is None:
        report.error("P033", node, f"protocol must be tcp or udp, found {quoted(value)}")
    return number


@shaped(or_empty(NETWORK))
def _failsafe_net(node: Node, report: Report) -> Network | None:
    return None if node.value == "" else _any_network(node, report)


FAILSAFE: Fields = {
    "protocol": Field("protocol", _failsafe_protocol, required="P033", placeholder=0),
    "port": Field("port", between(0, MAX_PORT, "P033", "port"), required="P033", placeholder=0),
    "net": Field("net", _failsafe_net),
}


@shaped(TEXT)
def _prefixes(node: Node, report: Report) -> tuple[str, ...] | None:
    value = text(node, report)
    if not value:
        return None
    found = tuple(part.strip() for part in value.split(","))
    if not all(_PREFIX.fullmatch(part) for part in found) or value.lower() == "none":
        report.error(VALUE, node, f"{quoted(value)} is not a list of interface prefixes", hint="such as cali,tap")
        return None
    return found


def _action(words: tuple[str, ...], *, any_case: bool = True) -> Reader[str]:
    read_word = choice(words, VALUE, any_case=any_case)

    @shaped(lambda: or_empty(shape_of(read_word)))
    def read_action(node: Node, report: Report) -> str | None:
        return None if node.value == "" else read_word(node, report)

    return read_action


def _matching(pattern: re.Pattern[str], what: str) -> Reader[str]:
    @shaped(text_like(pattern.pattern))
    def read_matching(node: Node, report: Report) -> str | None:
        value = text(node, report)
        if value is None or pattern.fullmatch(value):
            return value
        report.error(VALUE, node, f"{quoted(value)} is not {what}")
        return None

    return read_matching


def inert(reader: Reader[object] | None = None) -> Reader[None]:
    """A field that changes no verdict: its value is checked, and told to have no effect."""

    @shaped(lambda: ANYTHING if reader is None else shape_of(reader))
    def read_inert(node: Node, report: Report) -> None:
        if reader is None or reader(node, report) is not None:
            report.warning("W006", node, "accepted, has no effect in calicod")

    return read_inert


def unsupported(reader: Reader[object], *same: object) -> Reader[None]:
    """A field that changes verdicts: only the values that mean what calicod does anyway are accepted."""

    @shaped(lambda: shape_of(reader))
    def read_unsupported(node: Node, report: Report) -> None:
        value = reader(node, report)
        if value is not None and value not in same:
            hint = "leave it out: calicod does what the default says"
            report.error("N008", node, f"{shown(node)} is not supported yet: it would change verdicts", hint=hint)

    return read_unsupported


_NODE_PORTS: Reader[tuple[Port, ...]] = list_of(rule_port)
_EXTERNAL = any_network("P036")


@shaped(lambda: {**shape_of(_NODE_PORTS), "maxItems": MAX_RANGES})
def _node_ports(node: Node, report: Report) -> tuple[Port, ...]:
    if len(items(node, report)) > MAX_RANGES:
        report.error("P034", node, f"node port ranges list is too long, at most {MAX_RANGES} are allowed")
    ports: tuple[Port, ...] = _NODE_PORTS(node, report) or ()
    for item, port in zip(node.value, ports, strict=False):
        if not isinstance(port, PortRange):
            report.error("P034", item, f"named port {quoted(port)} cannot stand in kubeNodePortRanges")
    return ports


@shaped(NETWORK)
def _external_node(node: Node, report: Report) -> Network | None:
    network = _EXTERNAL(node, report)
    if network and network.family != 4:  # noqa: PLR2004  # IPv4
        report.error("P036", node, f"{network} is an IPv6 network")
    return network


_PREFERENCE = _action(("Accept", "Return"))
_DENIAL = _action(("Drop", "Reject"))
_FAILSAFES = list_of(struct(Failsafe, FAILSAFE))
_SWITCH = _action(("Enabled", "Disabled"), any_case=False)

APPLIED: Fields = {
    "nodeSelector": Field("node_selector", selector("P008", limit=0)),
    "interfacePrefix": Field("interface_prefix", _prefixes),
    "defaultEndpointToHostAction": Field("default_endpoint_to_host_action", _action(("Drop", "Return", "Accept"))),
    "failsafeInboundHostPorts": Field("failsafe_inbound_host_ports", _FAILSAFES),
    "failsafeOutboundHostPorts": Field("failsafe_outbound_host_ports", _FAILSAFES),
    "disableConntrackInvalidCheck": Field("disable_conntrack_invalid_check", boolean),
    "workloadSourceSpoofing": Field("workload_source_spoofing", _action(("Disabled", "Any"), any_case=False)),
    "allowVXLANPacketsFromWorkloads": Field("allow_vxlan_packets_from_workloads", boolean),
    "allowIPIPPacketsFromWorkloads": Field("allow_ipip_packets_from_workloads", boolean),
    "vxlanPort": Field("vxlan_port", between(1, MAX_PORT, VALUE, "port")),
}
REFUSED: Fields = {
    "chainInsertMode": Field("", unsupported(_action(("Insert", "Append")), "Insert")),
    "iptablesFilterDenyAction": Field("", unsupported(_DENIAL, "Drop")),
    "nftablesFilterDenyAction": Field("", unsupported(_DENIAL, "Drop")),
    "interfaceExclude": Field("", unsupported(text, "", "kube-ipvs0")),
    "ipv6Support": Field("", unsupported(boolean, True)),  # a value of the field, not a flag
    "ipipEnabled": Field("", unsupported(boolean, False)),  # as above
    "vxlanEnabled": Field("", unsupported(boolean, False)),  # as above
    "wireguardEnabled": Field("", unsupported(boolean, False)),  # as above
    "wireguardEnabledV6": Field("", unsupported(boolean, False)),  # as above
}
CHECKED: Fields = {
    "iptablesFilterAllowAction": Field("", inert(_PREFERENCE)),
    "nftablesFilterAllowAction": Field("", inert(_PREFERENCE)),
    "iptablesMangleAllowAction": Field("", inert(_PREFERENCE)),
    "nftablesMangleAllowAction": Field("", inert(_PREFERENCE)),
    "logPrefix": Field("", inert(_matching(_LOG_PREFIX, "a log prefix: letters, digits and `%: /_-`"))),
    "logActionRateLimit": Field("", inert(_matching(_RATE, "a rate, such as 10/minute"))),
    "logActionRateLimitBurst": Field("", inert(between(0, 9999, VALUE, "burst"))),
    "kubeNodePortRanges": Field("", inert(_node_ports)),
    "serviceLoopPrevention": Field("", inert(_action(("Drop", "Reject", "Disabled")))),
    "externalNodesList": Field("", inert(list_of(_external_node))),
    "floatingIPs": Field("", inert(_SWITCH)),
    "metadataAddr": Field("", inert(text)),
    "metadataPort": Field("", inert(_port)),
    "prometheusMetricsEnabled": Field("", inert(boolean)),
    "prometheusMetricsHost": Field("", inert(text)),
    "prometheusMetricsPort": Field("", inert(_port)),
    "healthEnabled": Field("", inert(boolean)),
    "healthPort": Field("", inert(_port)),
    "flowLogsFlushInterval": Field("", inert(_matching(_DURATION, "a duration, such as 300s"))),
    "flowLogsGoldmaneServer": Field("", inert(text)),
    "flowLogsLocalReporter": Field("", inert(_SWITCH)),
    "flowLogsPolicyEvaluationMode": Field("", inert(_action(("None", "Continuous"), any_case=False))),
    "policySyncPathPrefix": Field("", inert(text)),
    "wireguardListeningPort": Field("", inert(integer)),
    "wireguardListeningPortV6": Field("", inert(integer)),
}
FELIX: Fields = {name: Field("", inert()) for name in INERT} | APPLIED | REFUSED | CHECKED


@shaped(lambda: mapping(FELIX))
def felix_configuration(spec: Mapping, metadata: Metadata, report: Report) -> FelixConfiguration:
    """The settings of the cluster (`default`), of one node (`node.<name>`) or of those that a selector chooses."""
    values = read(spec, FELIX, report)
    named = metadata.name == "default" or metadata.name.startswith("node.")
    if named and "node_selector" in values:
        place = find(spec, "nodeSelector") or spec
        report.error("P035", place, "nodeSelector cannot stand in `default` or `node.*`: the name chooses the nodes")
    for key in metadata.annotations:
        if key.startswith(OVERRIDE):
            place = find(report.root, "metadata", "annotations", key) or spec
            report.error("N008", place, "overrides by annotation are not supported", hint="write the field under spec:")
    make: Callable[..., FelixConfiguration] = FelixConfiguration
    return make(
        **values,
        metadata=metadata,
        creation_timestamp=_creation(report),
        place=report.place(report.root),
    )


def _creation(report: Report) -> str:
    node = find(report.root, "metadata", "creationTimestamp")
    return "" if node is None else scalar(node, report, "a time") or ""
