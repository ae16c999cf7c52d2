"""A Steering as the hooks of one address family use it: interfaces in the order of selection, and the rules they share.

Law: a flow's path is the incoming interface of its original direction: that direction is tested and stamped by incoming
interface, the reply direction by outgoing interface. Where there is none, at OUTPUT and INPUT, the id says which host
endpoint judges what the host sends, or that none does. Rules are as iptables-save shows them.
"""

from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType

from msgspec.structs import replace

from calicod.model.marks import LOCAL_ID
from calicod.model.steering import Nic, Steering
from calicod.netfilter.exempt import MET_LATE
from calicod.netfilter.pattern import (
    Pattern,
    host_patterns,
    ordered,
    rest,
    workload_cover,
    workload_patterns,
    workload_prefix,
)
from calicod.netfilter.table import PREFIX, Chain

REJECT = f"{PREFIX}reject"
QUEUE = f"{PREFIX}queue"
DROP_INVALID = f"{PREFIX}drop-invalid"
DROP_SPOOFED = f"{PREFIX}drop-spoofed"

DROPS = MappingProxyType({"invalid": ("filter", DROP_INVALID), "spoofed": ("raw", DROP_SPOOFED)})
"""Reason -> table and chain whose only rule counts these drops."""

EXPECTED = "-m conntrack --ctstate RELATED --ctstatus EXPECTED"

Side = Callable[[Pattern], str]
"""`Pattern.incoming` or `Pattern.outgoing`."""


def manages(steering: Steering) -> bool:
    """Whether any interface is judged at all."""
    hosts = steering.wildcard_host or steering.loopback is not None or any(nic.managed for nic in steering.nics)
    return bool(hosts or workload_patterns(steering))


class Plan:
    """One family's view. When nothing is managed the chains are there, and empty.

    `managed`: hosts that are judged; `like`: those of them whose name begins as a workload's: they come before the
    prefix everywhere. `cover`: the workloads. `local`: paths of what comes to the host; `routed`: of what it forwards,
    which `judging` ask about on either side, and `sparing`, which are selected before them, do not;
    `sent`: of what it sends, `itself` to itself. `untracked_in`, `untracked_out`: judged before connection tracking,
    `prednat`: before DNAT. `marked`: the match on a packet that bears any packet bit of ours.
    """

    def __init__(self, steering: Steering, family: int) -> None:
        self.steering = steering
        self.family = family
        self.marks = steering.marks
        self.active = manages(steering)
        hosts = host_patterns(steering)
        self.managed = tuple(pattern for pattern in hosts if pattern.managed)
        self.like = tuple(pattern for pattern in self.managed if workload_prefix(pattern.match, steering))
        self.cover = workload_cover(steering)
        self.rest = rest(steering)
        self.local = ordered(steering, hosts if self.rest.managed else self.managed)
        self.routed = ordered(steering, hosts)
        self.judging = (*self.cover, *(pattern for pattern in self.managed if pattern.forward))
        first = self.managed if self.rest.forward else self.like
        self.sparing = tuple(pattern for pattern in first if not pattern.forward)
        apart = (replace(pattern, id=pattern.local) for pattern in self.managed if pattern.local != LOCAL_ID)
        self.sent = (*apart, replace(self.rest, id=LOCAL_ID))
        loopback = steering.loopback
        self.itself = () if loopback is None else (Pattern("lo", loopback, workload=False, local=loopback),)
        self.untracked_in = tuple(p for p in self.managed if self._nic(p).untracked_in)
        looped = self.itself if steering.loopback_untracked else ()
        self.untracked_out = (*looped, *(p for p in self.managed if self._nic(p).untracked_out))
        asked = (p for p in self.managed if self._nic(p).prednat)
        self.prednat = self.routed if steering.wildcard_prednat else tuple(asked)
        # what an early rule has allowed meets less policy than what the memory was learned from
        self.remembers = bool(steering.allowed) and steering.log_group is not None and not self.prednat
        self.untracks = bool(self.untracked_in or self.untracked_out)
        self.marked = f"-m mark ! --mark 0x0/{self.marks.packet_mask:#x}"
        self.clear_marks = f"-j MARK --set-xmark 0x0/{self.marks.packet_mask:#x}"

    def _nic(self, pattern: Pattern) -> Nic:
        return next(nic for nic in self.steering.nics if nic.name == pattern.match)

    def into(self, first: int) -> str:
        """The target that brings a packet into one of a range of queues."""
        last = first + self.steering.workers - 1
        which = f"--queue-num {first}" if last == first else f"--queue-balance {first}:{last}"
        return f"-j NFQUEUE {which}{' --queue-bypass' if self.steering.fail_open else ''}"

    def tell_untracked(self) -> tuple[str, ...]:
        """Where policy judges early: what has no connection is judged by its whole way, as nothing remembers it."""
        bits = f"{self.marks.untracked:#x}/{self.marks.evidence:#x}"
        early = self.untracks or self.prednat
        return (f"-m conntrack --ctstate UNTRACKED -j MARK --set-xmark {bits}",) if early else ()

    def chain(self, name: str, *rules: str) -> Chain:
        """A chain of ours; empty while nothing is managed."""
        return Chain(name, rules if self.active else ())

    def dispatch(self, side: Side, hosts: str, workloads: str) -> list[str]:
        """Which packets of INPUT or OUTPUT are judged: managed hosts by name, workloads, with `*` all others but lo."""
        rules = [f"{side(pattern)}-g {hosts}" for pattern in self.managed]
        rules += [f"{side(pattern)}-g {workloads}" for pattern in self.cover]
        if self.rest.managed:
            rules += [f"{side(Pattern('lo', 0, workload=False))}-j RETURN", f"-g {hosts}"]
        return rules

    def judge(
        self, hook: str, stamped: Iterable[str], original: Iterable[str], asked: Sequence[str] = ()
    ) -> tuple[Chain, Chain]:
        """What came back with a verdict first, then what is `asked` about whatever its stamp, then what is `stamped`.

        That is nearly every packet. The second chain has the others: each direction by all of its paths.
        """
        first, expected = self.verdicts(hook)
        early, late = ((expected, *asked), ()) if asked else ((), (expected,))
        reply = f"-m conntrack --ctdir REPLY -g {hook}-reply"
        return (
            self.chain(f"{hook}-judge", first, *early, *stamped, f"-g {hook}-others"),
            self.chain(f"{hook}-others", *late, reply, *original),
        )

    def verdicts(self, hook: str) -> tuple[str, str]:
        """The worker's verdict first, whatever the generation: nothing can loop.

        An expected connection inherits its master's mark: what it inherited must not speak for it.
        """
        marks = self.marks
        return (
            f"-m mark ! --mark 0x0/{marks.evidence:#x} -g {hook}-verdict",
            f"{EXPECTED} -j CONNMARK --set-xmark 0x0/{marks.connection_mask:#x}",
        )

    def verdict(self, hook: str) -> Chain:
        """What the worker said."""
        accept = self.marks.accept
        return self.chain(f"{hook}-verdict", f"-m mark --mark {accept:#x}/{accept:#x} -g {hook}-stamp", f"-g {REJECT}")

    def forwards(self, interface: str) -> bool:
        """Whether somebody asks about what is forwarded by this interface; one of two is enough."""
        if any(pattern.selects(interface) for pattern in self.sparing):
            return False
        return self.rest.forward or any(pattern.selects(interface) for pattern in self.judging)

    def tests(self, side: Side, paths: Iterable[Pattern], host: str, work: str) -> list[str]:
        """A current stamp of the packet's own path returns; what is left goes on to be asked about."""
        rules = []
        for pattern in paths:
            rules.append(f"{side(pattern)}{self.current(pattern.id)}")
            rules += [f"{side(pattern)}{self.tell_spared(pattern.id)}"] if pattern in self.prednat else []
            rules.append(f"{side(pattern)}-g {work if pattern.workload else host}")
        return rules

    def stamps(self, side: Side, paths: Iterable[Pattern]) -> list[str]:
        """Each path's stamp for its flows."""
        rules = []
        for pattern in paths:
            if pattern in self.prednat:  # what the preDNAT stage knows of this very path stays
                judged = f"{side(pattern)}-m connmark --mark {self.path(pattern.id)}"
                rules += [f"{judged} {self.add()}", f"{judged} -j RETURN"]
            rules.append(f"{side(pattern)}{self.set(pattern.id)}")
            if pattern.match:
                rules.append(f"{side(pattern)}-j RETURN")
        return rules

    def stamp(self, hook: str, original: Iterable[str]) -> Chain:
        """Reached by goto: returns to the built-in chain, so that the rules of others still apply."""
        spared = f"-m mark --mark {self.marks.prednat:#x}/{self.marks.prednat:#x} -g {hook}-spared"
        return self.chain(
            f"{hook}-stamp",
            *((spared,) if self.prednat else ()),
            self.clear_marks,
            "-m conntrack --ctstate RELATED,UNTRACKED -j RETURN",
            f"-m conntrack --ctdir REPLY -g {hook}-back",
            *original,
        )

    def spared(self, hook: str, *sides: tuple[Side, Iterable[Pattern]]) -> Chain:
        """What was allowed on the word of a preDNAT rule is stamped only while that word holds."""
        marks = self.marks
        bits = marks.prednat_stage | marks.prednat_rule
        rules = [
            f"{side(pattern)}-m connmark --mark {self.path(pattern.id, bits)} {self.add()}"
            for side, paths in sides
            for pattern in paths
            if pattern in self.prednat
        ]
        related = "-m conntrack --ctstate RELATED,UNTRACKED -j RETURN"
        return self.chain(f"{hook}-spared", *((self.clear_marks, related, *rules) if self.prednat else ()))

    def tell_spared(self, interface: int) -> str:
        """A preDNAT rule has allowed the connection on this path, under whatever generation.

        A stale word is renewed or taken back by the supervisor right after a change; until then replies need it, since
        they do not show what their client asked for before DNAT.
        """
        marks = self.marks
        stage = marks.prednat_stage | marks.prednat_rule
        word = f"{marks.stamp(0, interface) | stage:#x}/{marks.interface | stage:#x}"
        return f"-m connmark --mark {word} -j MARK --set-xmark {marks.spared:#x}/{marks.evidence:#x}"

    def path(self, interface: int, bits: int = 0) -> str:
        """Value and mask of the marks of this generation on this path that have all these bits."""
        marks = self.marks
        value, mask = marks.stamp(self.steering.generation, interface), marks.generation | marks.interface
        return f"{value | bits:#x}/{mask | bits:#x}"

    def add(self) -> str:
        """The target that adds the filter stage to what the mark says already."""
        marks = self.marks
        return f"-j CONNMARK --set-xmark {marks.filter_stage:#x}/{marks.filter_stage | marks.judged:#x}"

    def about_flow(self) -> tuple[str, ...]:
        """What the worker is told of the connection: known before; of TCP, met in its middle."""
        marks = self.marks
        known = f"-m connmark ! --mark 0x0/{marks.judged | marks.filter_stage:#x}"
        return (
            f"{known} -j MARK --set-xmark {marks.known:#x}/{marks.known:#x}",
            f"{MET_LATE} -j MARK --set-xmark {marks.picked:#x}/{marks.picked:#x}",
        )

    def invalid(self) -> tuple[str, ...]:
        """What conntrack calls INVALID is dropped and counted, unless a setting lets policy judge it."""
        return (f"-m conntrack --ctstate INVALID -j {DROP_INVALID}",) if self.steering.drop_invalid else ()

    def bears(self, interface: int) -> str:
        """The match on what bears the present stamp of this path."""
        return f"-m connmark --mark {self.path(interface, self.marks.filter_stage)}"

    def current(self, interface: int) -> str:
        """Returns what bears the present stamp of this path."""
        return f"{self.bears(interface)} -j RETURN"

    def set(self, interface: int) -> str:
        """Stamps the connection for this path."""
        marks = self.marks
        stamp = marks.stamp(self.steering.generation, interface) | marks.filter_stage
        return f"-j CONNMARK --set-xmark {stamp:#x}/{marks.connection_mask:#x}"
