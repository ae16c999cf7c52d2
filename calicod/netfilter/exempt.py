"""What the kernel lets pass by itself, with no worker alive: failsafes, neighbour discovery, its own first errors.

Law: failsafes are for managed host interfaces and never help a workload. A failsafe's stamp has no stage bit, so it
makes no later test true: it only tells whose flow this is. Router advertisements from a workload never pass here.
"""

from collections.abc import Iterable

from calicod.model.marks import FAILSAFE_ID
from calicod.model.protocol import TCP, UDP
from calicod.model.steering import FailsafePort, Steering
from calicod.netfilter.nflog import AT_ONCE, FAILSAFE_PREFIX, SNAP_BYTES
from calicod.netfilter.table import PREFIX, Chain

FAILSAFE_CHAIN = f"{PREFIX}failsafe"
"""Reached by goto."""

V6 = 6
NAMES = {TCP: "tcp", UDP: "udp"}
NOT_SYN = "! --tcp-flags FIN,SYN,RST,ACK SYN"
MET_LATE = f"-p tcp -m tcp {NOT_SYN} -m conntrack --ctstate NEW"
"""The first packet that conntrack sees of a connection of TCP is no SYN: its direction is a guess."""

DISCOVERY = (133, 134, 135, 136, 137)
"""Router and neighbour solicitation and advertisement, redirect: accepted by the kernel with hop limit 255 only
(RFC 4861), which no router forwards."""

ROUTER_ADVERTISEMENT = 134
LISTENER_QUERY = 130
LISTENER_REPORTS = (131, 132, 143)
"""RFC 2710 and 3810. A snooping switch passes neighbour solicitations only to hosts that reported their
solicited-node group: without reports IPv6 does not work, whatever else is allowed."""
UNREACHABLE = {4: "-p icmp -m icmp --icmp-type 3/3", V6: "-p ipv6-icmp -m icmp6 --icmpv6-type 1/4"}
"""Port unreachable, as REJECT says it."""
BARE_RESET = {4: 40, V6: 60}
"""Bytes of a TCP segment with neither options nor data."""
FROM_WORKLOAD = (130, 131, 132)
"""Semantics 4.9: besides discovery, what a workload may always say to its host."""


def from_host_discovery(family: int) -> tuple[str, ...]:
    """OUTPUT through a managed host interface."""
    return (*_hops(DISCOVERY, 255), *_hops(LISTENER_REPORTS, 1)) if family == V6 else ()


def to_host_discovery(family: int) -> tuple[str, ...]:
    """INPUT through a managed host interface. A query comes from a link-local address (RFC 2710, section 3)."""
    queries = [f"-s fe80::/10 {rule}" for rule in _hops((LISTENER_QUERY,), 1)]
    return (*_hops(DISCOVERY, 255), *queries) if family == V6 else ()


def workload_discovery(family: int) -> tuple[str, ...]:
    """INPUT through a workload interface."""
    if family != V6:
        return ()
    listener = [f"{_icmp(kind)} -j RETURN" for kind in FROM_WORKLOAD]
    return (*_hops((kind for kind in DISCOVERY if kind != ROUTER_ADVERTISEMENT), 255), *listener)


def workload_neighbours(family: int) -> tuple[str, ...]:
    """PREROUTING through a workload interface, whatever it is bound for."""
    return _hops((kind for kind in DISCOVERY if kind != ROUTER_ADVERTISEMENT), 255) if family == V6 else ()


def prednat_failsafes(steering: Steering, family: int) -> tuple[str, ...]:
    """PREROUTING: by the port before DNAT (semantics 4.11)."""
    return tuple(_untracked(port, "-s", "--dport") for port in _of(steering.failsafe_inbound, family))


def host_errors(family: int) -> tuple[str, ...]:
    """OUTPUT: ICMP errors by which the kernel answers a packet that is not through yet (too big, hop limit exceeded).

    They share its unconfirmed connection. No queue takes such a packet: the kernel drops it and tells nobody.
    """
    kind = "ipv6-icmp" if family == V6 else "icmp"
    return (f"-p {kind} -m conntrack --ctstate RELATED ! --ctstatus CONFIRMED -j RETURN",)


def answers(steering: Steering, family: int) -> tuple[str, ...]:
    """OUTPUT: what the kernel answers to a refused packet, and a reset for the end that did not send it.

    Nothing but a rule of REJECT makes a reset that is RELATED: it shares the connection of what it answers, as its ICMP
    error does. A bare reset of a flow that was allowed once carries nothing and ends it.
    """
    if not steering.answers:
        return ()
    once = f"-m connmark ! --mark 0x0/{steering.marks.judged | steering.marks.filter_stage:#x}"
    reset = "-p tcp -m tcp --tcp-flags RST RST"
    return (
        f"{reset} -m conntrack --ctstate RELATED ! --ctstatus EXPECTED -j RETURN",
        f"{UNREACHABLE[family]} -m conntrack --ctstate RELATED -j RETURN",
        f"{reset} -m length --length {BARE_RESET[family]} {once} -j RETURN",
    )


def failsafe_chain(steering: Steering) -> Chain:
    """Marks a new flow as a failsafe's, tells it once, and returns to the hook.

    Without a log group it is told by conntrack's event of it, which has the mark.
    """
    marks = steering.marks
    stamp = f"{marks.stamp(steering.generation, FAILSAFE_ID):#x}/{marks.connection_mask:#x}"
    mark, mask = marks.failsafe()
    once = f"-m conntrack --ctstate NEW -m connmark ! --mark {mark:#x}/{mask:#x}"
    told = () if steering.log_group is None else (f"{once} {log(steering, FAILSAFE_PREFIX)}",)
    return Chain(FAILSAFE_CHAIN, (*told, f"-m conntrack --ctstate NEW -j CONNMARK --set-xmark {stamp}"))


def log(steering: Steering, prefix: str = "") -> str:
    """The target that gives the packet's headers to the supervisor, many at a time."""
    which = f"--nflog-prefix {prefix} " if prefix else ""
    group = f"--nflog-group {steering.log_group} --nflog-size {SNAP_BYTES} --nflog-threshold {AT_ONCE}"
    return f"-j NFLOG {which}{group}"


def to_host_failsafes(steering: Steering, family: int) -> tuple[str, ...]:
    """INPUT: inbound failsafes, and what comes back on outbound ones."""
    inbound = [_forth(port, "-s") for port in _of(steering.failsafe_inbound, family)]
    return (*inbound, *(_back(port, "-s") for port in _of(steering.failsafe_outbound, family)))


def from_host_failsafes(steering: Steering, family: int) -> tuple[str, ...]:
    """OUTPUT: outbound failsafes, and what goes back on inbound ones."""
    outbound = [_forth(port, "-d") for port in _of(steering.failsafe_outbound, family)]
    return (*outbound, *(_back(port, "-d") for port in _of(steering.failsafe_inbound, family)))


def untracked_failsafes(steering: Steering, family: int, side: str) -> tuple[str, ...]:
    """In raw, before any connection is known: failsafes, and whatever comes from the port of one (semantics 4.11)."""
    inbound, outbound = _of(steering.failsafe_inbound, family), _of(steering.failsafe_outbound, family)
    ours, theirs = (inbound, outbound) if side == "-s" else (outbound, inbound)
    forth = (_untracked(port, side, "--dport") for port in ours)
    return (*forth, *(_untracked(port, side, "--sport") for port in theirs))


def _untracked(port: FailsafePort, side: str, end: str) -> str:
    name = NAMES[port.protocol]
    return f"{_far(port, side)}-p {name} -m {name} {end} {port.port} -j RETURN"


def failsafes_to_itself(steering: Steering, family: int) -> tuple[str, ...]:
    """OUTPUT through `lo`, which stands for both directions: what is a failsafe of both, and what comes back on it."""
    outbound, inbound = (_of(ports, family) for ports in (steering.failsafe_outbound, steering.failsafe_inbound))
    both = [
        (out, into) for out in outbound for into in inbound if (out.protocol, out.port) == (into.protocol, into.port)
    ]
    forth = (f"{_far(into, '-s')}{_forth(out, '-d')}" for out, into in both)
    back = (f"{_far(out, '-s')}{_back(into, '-d')}" for out, into in both)
    return (*forth, *back)


def _forth(port: FailsafePort, side: str) -> str:
    name = NAMES[port.protocol]
    return f"{_far(port, side)}-p {name} -m {name} --dport {port.port} -g {FAILSAFE_CHAIN}"


def _back(port: FailsafePort, side: str) -> str:
    """The reply direction; for TCP whatever opens nothing: conntrack may have met the flow the wrong way round."""
    name = NAMES[port.protocol]
    which = f"{NOT_SYN}" if port.protocol == TCP else "-m conntrack --ctdir REPLY"
    return f"{_far(port, side)}-p {name} -m {name} --sport {port.port} {which} -g {FAILSAFE_CHAIN}"


def _far(port: FailsafePort, side: str) -> str:
    return f"{side} {port.net} " if port.net and port.net.length else ""


def _of(ports: Iterable[FailsafePort], family: int) -> tuple[FailsafePort, ...]:
    return tuple(port for port in ports if port.net is None or port.net.family == family)


def _hops(kinds: Iterable[int], limit: int) -> tuple[str, ...]:
    return tuple(f"{_icmp(kind)} -m hl --hl-eq {limit} -j RETURN" for kind in kinds)


def _icmp(kind: int) -> str:
    return f"-p ipv6-icmp -m icmp6 --icmpv6-type {kind}"
