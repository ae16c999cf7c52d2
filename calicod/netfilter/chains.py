"""The rules of one address family for a Steering: which packets reach the queues, and which the kernel answers alone.

Law: a packet passes unjudged only by a current stamp of its own path, by a failsafe or by what `exempt` names; equal
Steerings make equal rules. A flow's path is the incoming interface of its original direction: that direction is tested
and stamped by incoming interface, the reply direction by outgoing interface. Where there is none, at OUTPUT and INPUT,
the id says which host endpoint judges what the host sends, or that none does. Rules are as iptables-save shows them.
"""

from collections.abc import Callable, Iterable
from functools import partial
from types import MappingProxyType

from msgspec.structs import replace

from calicod.model.marks import LOCAL_ID, TO_WORKLOAD_ID
from calicod.model.network import Network
from calicod.model.steering import Steering
from calicod.netfilter import exempt
from calicod.netfilter.pattern import (
    Pattern,
    host_patterns,
    ordered,
    rest,
    workload_cover,
    workload_patterns,
    workload_prefix,
)
from calicod.netfilter.table import PREFIX, Chain, Jump, Table

RAW = f"{PREFIX}raw"
CLEAR = f"{PREFIX}clear"
IN, FORWARD, OUT = f"{PREFIX}in", f"{PREFIX}fwd", f"{PREFIX}out"
REJECT = f"{PREFIX}reject"
QUEUE = f"{PREFIX}queue"
DROP_INVALID = f"{PREFIX}drop-invalid"
DROP_SPOOFED = f"{PREFIX}drop-spoofed"
ABOUT = f"{PREFIX}about"
"""Nothing jumps there: its only rule is a comment that tells the generation to a supervisor that starts."""

GENERATION_WORD = "generation"

DROPS = MappingProxyType({"invalid": ("filter", DROP_INVALID), "spoofed": ("raw", DROP_SPOOFED)})
"""Reason -> table and chain whose only rule counts these drops."""

JUMPS = MappingProxyType(
    {
        "raw": (Jump("PREROUTING", RAW),),
        "mangle": tuple(Jump(hook, CLEAR) for hook in ("INPUT", "FORWARD", "OUTPUT")),
        "filter": (Jump("INPUT", IN), Jump("FORWARD", FORWARD), Jump("OUTPUT", OUT)),
    }
)

UNREACHABLE = MappingProxyType({4: "icmp-port-unreachable", 6: "icmp6-port-unreachable"})

EXPECTED = "-m conntrack --ctstate RELATED --ctstatus EXPECTED"

Side = Callable[[Pattern], str]
"""`Pattern.incoming` or `Pattern.outgoing`."""


def tables(steering: Steering, family: int) -> tuple[Table, ...]:
    """Our part of raw, mangle and filter, in the order in which they must come into force."""
    made = _Chains(steering, family)
    parts = (("raw", made.raw()), ("mangle", made.mangle()), ("filter", made.filter()))
    return tuple(Table(name, chains, JUMPS[name]) for name, chains in parts)


def manages(steering: Steering) -> bool:
    """Whether any interface is judged at all."""
    return bool(steering.wildcard_host or workload_patterns(steering) or any(nic.managed for nic in steering.nics))


class _Chains:
    """The chains of one family. When nothing is managed they are there, and empty."""

    def __init__(self, steering: Steering, family: int) -> None:
        self.steering = steering
        self.family = family
        self.marks = steering.marks
        self.active = manages(steering)
        self.hosts = host_patterns(steering)
        self.managed = tuple(pattern for pattern in self.hosts if pattern.managed)
        self.cover = workload_cover(steering)
        self.rest = rest(steering)
        self.local = ordered(steering, self.hosts if self.rest.managed else self.managed)
        self.routed = ordered(steering, self.hosts)
        apart = (replace(pattern, id=pattern.local) for pattern in self.managed if pattern.local != LOCAL_ID)
        self.sent = (*apart, replace(self.rest, id=LOCAL_ID))
        self.clear_marks = f"-j MARK --set-xmark 0x0/{self.marks.packet_mask:#x}"

    def raw(self) -> tuple[Chain, ...]:
        """Clears our packet bits; workloads send only from addresses that are routed to them, or that were granted."""
        rules = [f"-i {pattern.match} -j RETURN" for pattern in self._hosts_like_workloads()]
        for workload in self.steering.forwarding_workloads:
            granted = (net for net in workload.prefixes if net.family == self.family)
            rules += [f"{_source(net)}-i {workload.name} -j RETURN" for net in granted]
        rules += [f"{p.incoming()}-m rpfilter --invert -j {DROP_SPOOFED}" for p in self.cover]
        return (
            Chain(DROP_SPOOFED, ("-j DROP",), lasting=True),
            self._chain(RAW, self.clear_marks, *rules),
        )

    def mangle(self) -> tuple[Chain, ...]:
        """Nobody who may set SO_MARK or restore a connection's mark brings a verdict of ours along."""
        return (self._chain(CLEAR, self.clear_marks),)

    def filter(self) -> tuple[Chain, ...]:
        """Dispatch, judgement, queue and stamp of the three hooks."""
        about = f'-m comment --comment "{GENERATION_WORD} {self.steering.generation}" -j RETURN'
        return (
            Chain(ABOUT, (about,)),
            Chain(DROP_INVALID, ("-j DROP",), lasting=True),
            self._reject(),
            self._queue(),
            self._only_if_active(exempt.failsafe_chain(self.steering)),
            *self._input(),
            *self._forward(),
            *self._output(),
        )

    def _input(self) -> tuple[Chain, ...]:
        host, work = f"{IN}-host", f"{IN}-work"
        discovery = exempt.to_host_discovery(self.family)
        tests = partial(self._tests, Pattern.incoming)
        like = self._hosts_like_workloads()
        others = self.local[len(like) :]
        local = [replace(p, id=p.local) for p in like]
        local += [replace(p, id=TO_WORKLOAD_ID) for p in self.cover]
        local += [p for p in self.sent if p not in local]
        return (
            self._chain(IN, *self._dispatch(Pattern.incoming, f"{IN}-judge", f"{IN}-judge")),
            self._judge(IN, (*tests(like, host, work), *self._unsure(work), *tests(others, host, work))),
            self._chain(f"{IN}-reply", *tests(local, host, work)),
            self._chain(
                host,
                *discovery,
                *self._invalid(),
                *exempt.to_host_failsafes(self.steering, self.family),
                f"-g {QUEUE}",
            ),
            self._chain(work, *exempt.workload_discovery(self.family), f"-g {QUEUE}"),
            self._stamp(IN, self._stamps(Pattern.incoming, self.local)),
            self._chain(f"{IN}-back", *self._stamps(Pattern.incoming, local)),
        )

    def _forward(self) -> tuple[Chain, ...]:
        """Only packets with a workload on either side; hosts judge nothing that is forwarded."""
        judge = f"{FORWARD}-judge"
        like = self._hosts_like_workloads()
        enter = []
        for host in like:
            enter += [f"-i {host.match} -o {other.match} -j RETURN" for other in like]
            enter += [f"-i {host.match} -o {pattern.match} -g {judge}" for pattern in self.cover]
            enter.append(f"-i {host.match} -j RETURN")
        enter += [f"{pattern.incoming()}-g {judge}" for pattern in self.cover]
        enter += [f"-o {host.match} -j RETURN" for host in like]
        enter += [f"{pattern.outgoing()}-g {judge}" for pattern in self.cover]
        return (
            self._chain(FORWARD, *enter),
            self._judge(FORWARD, self._tests(Pattern.incoming, self.routed, QUEUE, QUEUE)),
            self._chain(f"{FORWARD}-reply", *self._tests(Pattern.outgoing, self.routed, QUEUE, QUEUE)),
            self._stamp(FORWARD, self._stamps(Pattern.incoming, self.routed)),
            self._chain(f"{FORWARD}-back", *self._stamps(Pattern.outgoing, self.routed)),
        )

    def _output(self) -> tuple[Chain, ...]:
        """What the host itself sends to a workload is subject to no policy: stamped at once, so that replies match.

        That stamp has an id of its own: an unprivileged process chooses the interface of each datagram (IP_PKTINFO).
        """
        host, work = f"{OUT}-host", f"{OUT}-work"
        return (
            self._chain(OUT, *self._dispatch(Pattern.outgoing, f"{OUT}-judge", work)),
            self._judge(OUT, self._tests(Pattern.outgoing, self.sent, host, host)),
            self._chain(
                work,
                *self._verdicts(OUT),
                *exempt.host_errors(self.family),
                *self._invalid(),
                f"-m conntrack --ctdir REPLY -g {OUT}-reply",
                "-m conntrack --ctstate RELATED,UNTRACKED -j RETURN",
                self._set(TO_WORKLOAD_ID),
            ),
            self._chain(f"{OUT}-reply", *self._tests(Pattern.outgoing, self.local, host, QUEUE)),
            self._chain(
                host,
                *exempt.from_host_discovery(self.family),
                *exempt.host_errors(self.family),
                *self._invalid(),
                *exempt.from_host_failsafes(self.steering, self.family),
                f"-g {QUEUE}",
            ),
            self._stamp(OUT, self._stamps(Pattern.outgoing, self.sent)),
            self._chain(f"{OUT}-back", *self._stamps(Pattern.outgoing, self.local)),
        )

    def _unsure(self, work: str) -> list[str]:
        """Any workload may send from any link-local address, and conntrack tells no links apart: never trusted."""
        return [f"-s fe80::/10 {p.incoming()}-g {work}" for p in self.cover] if self.family == exempt.V6 else []

    def _dispatch(self, side: Side, hosts: str, workloads: str) -> list[str]:
        rules = [f"{side(pattern)}-g {hosts}" for pattern in self.managed]
        rules += [f"{side(pattern)}-g {workloads}" for pattern in self.cover]
        if self.rest.managed:
            rules += [f"{side(Pattern('lo', 0, workload=False))}-j RETURN", f"-g {hosts}"]
        return rules

    def _judge(self, hook: str, original: Iterable[str]) -> Chain:
        reply = f"-m conntrack --ctdir REPLY -g {hook}-reply"
        return self._chain(f"{hook}-judge", *self._verdicts(hook), reply, *original)

    def _verdicts(self, hook: str) -> tuple[str, ...]:
        """The worker's verdict first, whatever the generation: nothing can loop.

        An expected connection inherits its master's mark: what it inherited must not speak for it.
        """
        marks = self.marks
        return (
            f"-m mark --mark {marks.accept:#x}/{marks.accept:#x} -g {hook}-stamp",
            f"-m mark --mark {marks.reject:#x}/{marks.reject:#x} -g {REJECT}",
            f"{EXPECTED} -j CONNMARK --set-xmark 0x0/{marks.connection_mask:#x}",
        )

    def _tests(self, side: Side, paths: Iterable[Pattern], host: str, work: str) -> list[str]:
        rules = []
        for pattern in paths:
            rules.append(f"{side(pattern)}{self._current(pattern.id)}")
            rules.append(f"{side(pattern)}-g {work if pattern.workload else host}")
        return rules

    def _stamps(self, side: Side, paths: Iterable[Pattern]) -> list[str]:
        rules = []
        for pattern in paths:
            rules.append(f"{side(pattern)}{self._set(pattern.id)}")
            if pattern.match:
                rules.append(f"{side(pattern)}-j RETURN")
        return rules

    def _stamp(self, hook: str, original: Iterable[str]) -> Chain:
        """Reached by goto: returns to the built-in chain, so that the rules of others still apply."""
        return self._chain(
            f"{hook}-stamp",
            self.clear_marks,
            "-m conntrack --ctstate RELATED,UNTRACKED -j RETURN",
            f"-m conntrack --ctdir REPLY -g {hook}-back",
            *original,
        )

    def _queue(self) -> Chain:
        steering, marks = self.steering, self.marks
        original, reply = steering.queues(0)
        known = f"-m connmark ! --mark 0x0/{marks.judged | marks.filter_stage:#x}"
        return self._chain(
            QUEUE,
            *self._invalid(),
            f"{known} -j MARK --set-xmark {marks.known:#x}/{marks.known:#x}",
            f"-m conntrack --ctdir REPLY {self._into(reply)}",
            self._into(original),
        )

    def _into(self, first: int) -> str:
        last = first + self.steering.workers - 1
        which = f"--queue-num {first}" if last == first else f"--queue-balance {first}:{last}"
        return f"-j NFQUEUE {which}{' --queue-bypass' if self.steering.fail_open else ''}"

    def _reject(self) -> Chain:
        return self._chain(
            REJECT,
            self.clear_marks,
            "-p tcp -j REJECT --reject-with tcp-reset",
            f"-j REJECT --reject-with {UNREACHABLE[self.family]}",
        )

    def _invalid(self) -> tuple[str, ...]:
        return (f"-m conntrack --ctstate INVALID -j {DROP_INVALID}",) if self.steering.drop_invalid else ()

    def _current(self, interface: int) -> str:
        marks = self.marks
        stamp = marks.stamp(self.steering.generation, interface) | marks.filter_stage
        mask = marks.generation | marks.interface | marks.filter_stage
        return f"-m connmark --mark {stamp:#x}/{mask:#x} -j RETURN"

    def _set(self, interface: int) -> str:
        marks = self.marks
        stamp = marks.stamp(self.steering.generation, interface) | marks.filter_stage
        return f"-j CONNMARK --set-xmark {stamp:#x}/{marks.connection_mask:#x}"

    def _hosts_like_workloads(self) -> tuple[Pattern, ...]:
        """Managed host interfaces whose name begins as a workload's: they come before the prefix everywhere."""
        return tuple(pattern for pattern in self.managed if workload_prefix(pattern.match, self.steering))

    def _chain(self, name: str, *rules: str) -> Chain:
        return self._only_if_active(Chain(name, rules))

    def _only_if_active(self, chain: Chain) -> Chain:
        return chain if self.active else Chain(chain.name, ())


def _source(net: Network) -> str:
    return f"-s {net} " if net.length else ""
