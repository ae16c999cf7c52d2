"""Rules of iptables, as our chains hold them, in the words of nft.

Law: total over the words that our chains use, and over no others: a word that is not known here is an error, never a
condition left out. A rule and its translation match the same packets: a packet without a connection matches no
connection mark in either, also when the match is negated.
"""

from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec

from calicod.netfilter.table import PREFIX, words_of

ALL_BITS = 0xFFFFFFFF
ADDRESS = MappingProxyType({4: "ip", 6: "ip6"})
ICMP = MappingProxyType({4: "icmp", 6: "icmpv6"})
IPV6 = 6
IPV6_HEADER = 40
PROTOCOLS = ("tcp", "udp", "icmp", "ipv6-icmp")
STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
STATUSES = ("EXPECTED", "CONFIRMED")
FLAGS = ("FIN", "SYN", "RST", "ACK")
DIRECTIONS = ("ORIGINAL", "REPLY")
MARKS = MappingProxyType({"mark": "meta mark", "connmark": "ct mark", "MARK": "meta mark", "CONNMARK": "ct mark"})
REJECTS = MappingProxyType(
    {
        "tcp-reset": "reject with tcp reset",
        "icmp-port-unreachable": "reject with icmp port-unreachable",
        "icmp6-port-unreachable": "reject with icmpv6 port-unreachable",
    }
)
SPOOFED = MappingProxyType(
    {
        4: ("fib saddr . iif oif missing", "ip saddr != 0.0.0.0/8 fib saddr type != unicast"),
        6: ("ip6 saddr != :: fib saddr . iif oif missing",),
    }
)
"""`-m rpfilter --invert`: either of these. xt_rpfilter refuses whatever no unicast route leads back to, fib tells no
broadcast address from a unicast one; and it passes the unspecified address of IPv6, which fib does for ICMPv6 alone."""


class Match(msgspec.Struct, frozen=True):
    """What an option says: its words, negated or not, of which module, in which family's rule."""

    words: tuple[str, ...]
    negated: bool
    module: str
    family: int

    @property
    def unless(self) -> str:
        """The negation before a value, with a space behind."""
        return "!= " if self.negated else ""

    def any_of(self, key: str, known: tuple[str, ...]) -> str:
        """Whether `key` has any of the listed bits, each of them known; negated: none."""
        bits = [_known(word, known).lower() for word in self.words[0].split(",")]
        return f"{key} & ({' | '.join(bits)}) == 0" if self.negated else f"{key} {','.join(bits)}"


def chain_name(name: str, table: str, family: int) -> str:
    """What a chain of ours is called in the one table of nft, beside those of the other tables and family.

    >>> chain_name("calicod-in-judge", "filter", 4)
    'ipv4-filter-in-judge'
    """
    if not name.startswith(PREFIX):
        raise ValueError(f"{name!r} is neither a chain of ours nor a target that has a translation")
    return f"ipv{family}-{table}-{name.removeprefix(PREFIX)}"


def translate(rule: str, table: str, family: int) -> tuple[str, ...]:
    """The rule in nft's words: several rules where one condition has alternatives. Raises ValueError.

    >>> translate("-i cali+ -m connmark --mark 0x22200/0x3ff3f00 -j RETURN", "filter", 4)
    ('iifname "cali*" ct mark & 0x3ff3f00 == 0x22200 return',)
    """
    words = deque(words_of(rule))
    rows: tuple[str, ...] = ("",)
    comment, module, idle = "", "", set[str]()
    while words and words[0] not in {"-j", "-g"}:
        negated = words[0] == "!"
        option = words[negated]
        if option not in OPTIONS or (negated and option in UNCONDITIONAL):
            raise ValueError(f"{option!r} in the rule {rule!r} has no translation")
        count, translated = OPTIONS[option]
        taken = [words.popleft() for _ in range(negated + 1 + count)][negated + 1 :]
        if option == "-m":
            module = _known(taken[0], (*MODULES, *PRESENT[family]))
            if module in PRESENT[family]:
                rows = tuple(f"{row}exthdr {module} exists " for row in rows)
            else:
                idle.add(module)
            continue
        if option not in MODULES.get(module, ()) + PLAIN:
            raise ValueError(f"{option!r} in the rule {rule!r} belongs to no match before it")
        idle -= {module} if option not in PLAIN else set()
        if option == "--comment":
            comment = f' comment "{taken[0]}"'
        else:
            conditions = translated(Match(tuple(taken), negated, module, family))
            rows = tuple(f"{row}{condition} " for row in rows for condition in conditions)
    if idle:
        raise ValueError(f"a match without its option in the rule {rule!r}")
    statement = _target(list(words), rule, table, family)
    return tuple(f"{row}{statement}{comment}" for row in rows)


def _target(words: list[str], rule: str, table: str, family: int) -> str:
    """What becomes of a packet that matches."""
    if len(words) < 2:  # noqa: PLR2004  the option and its value
        raise ValueError(f"the rule {rule!r} has no target")
    how, name, *options = words
    if how == "-j" and (name, *options[:1]) in TARGETS:
        return TARGETS[name, *options[:1]](name, options[1:])
    if options:
        raise ValueError(f"{' '.join(options)!r} in the rule {rule!r} has no translation")
    return f"{'goto' if how == '-g' else 'jump'} {chain_name(name, table, family)}"


def _incoming(match: Match) -> tuple[str, ...]:
    return (f"iifname {match.unless}{_interface(match.words[0])}",)


def _outgoing(match: Match) -> tuple[str, ...]:
    return (f"oifname {match.unless}{_interface(match.words[0])}",)


def _interface(pattern: str) -> str:
    """`+` at the end is iptables' wildcard, `*` is that of nft."""
    if any(letter in pattern for letter in '"*\\'):
        raise ValueError(f"interface {pattern!r} cannot be written for nft")
    return f'"{pattern.removesuffix("+")}*"' if pattern.endswith("+") else f'"{pattern}"'


def _source(match: Match) -> tuple[str, ...]:
    return (f"{ADDRESS[match.family]} saddr {match.unless}{match.words[0]}",)


def _destination(match: Match) -> tuple[str, ...]:
    return (f"{ADDRESS[match.family]} daddr {match.unless}{match.words[0]}",)


def _protocol(match: Match) -> tuple[str, ...]:
    return (f"meta l4proto {match.unless}{_known(match.words[0], PROTOCOLS)}",)


def _mark(match: Match) -> tuple[str, ...]:
    value, mask = _masked(match.words[0])
    return (f"{MARKS[match.module]} & {mask:#x} {'!=' if match.negated else '=='} {value:#x}",)


def _state(match: Match) -> tuple[str, ...]:
    if match.words == ("DNAT",):  # iptables' name for a bit of the status
        return (match.any_of("ct status", match.words),)
    return (match.any_of("ct state", STATES),)


def _status(match: Match) -> tuple[str, ...]:
    return (match.any_of("ct status", STATUSES),)


def _direction(match: Match) -> tuple[str, ...]:
    return (f"ct direction {match.unless}{_known(match.words[0], DIRECTIONS).lower()}",)


def _sport(match: Match) -> tuple[str, ...]:
    return (f"{match.module} sport {match.unless}{match.words[0].replace(':', '-')}",)


def _dport(match: Match) -> tuple[str, ...]:
    return (f"{match.module} dport {match.unless}{match.words[0].replace(':', '-')}",)


def _flags(match: Match) -> tuple[str, ...]:
    examined, wanted = (" | ".join(_known(w, FLAGS) for w in words.split(",")).lower() for words in match.words)
    return (f"tcp flags & ({examined}) {'!=' if match.negated else '=='} {wanted}",)


def _icmp(match: Match) -> tuple[str, ...]:
    protocol = ICMP[match.family]
    kind, slash, code = match.words[0].partition("/")
    if slash and match.negated:
        raise ValueError(f"not {match.words[0]!r}: a type with its code has no negation here")
    return (f"{protocol} type {match.unless}{int(kind)}" + (f" {protocol} code {int(code)}" if slash else ""),)


def _length(match: Match) -> tuple[str, ...]:
    """The header that counts in xt_length is not in the length that IPv6 tells."""
    header = IPV6_HEADER if match.family == IPV6 else 0
    return (f"{ADDRESS[match.family]} length {match.unless}{int(match.words[0]) - header}",)


def _hops(match: Match) -> tuple[str, ...]:
    return (f"ip6 hoplimit {match.unless}{int(match.words[0])}",)


def _spoofed(match: Match) -> tuple[str, ...]:
    return SPOOFED[match.family]


def _nothing(_: Match) -> tuple[str, ...]:
    return ("",)


def _set_mark(name: str, options: list[str]) -> str:
    """`--set-xmark`: bits of the mask are cleared, those of the value turned."""
    ((value, mask),) = (_masked(word) for word in options)
    if value & ~mask:
        raise ValueError(f"mark {options[0]!r}: bits outside of the mask are turned")
    mark = MARKS[name]
    kept = "" if value == mask else f" & {ALL_BITS & ~mask:#x}"
    return f"{mark} set {mark}{kept}{f' | {value:#x}' if value else ''}"


def _reject(_: str, options: list[str]) -> str:
    (kind,) = options
    return REJECTS[_known(kind, tuple(REJECTS))]


def _queue(_: str, options: list[str]) -> str:
    numbers, *more = options
    if more not in ([], ["--queue-bypass"]):
        raise ValueError(f"{' '.join(more)!r} has no translation")
    return f"queue {'flags bypass ' if more else ''}to {numbers.replace(':', '-')}"


def _log(_: str, options: list[str]) -> str:
    group, size, size_bytes, threshold, packets = options
    if (size, threshold) != ("--nflog-size", "--nflog-threshold"):
        raise ValueError(f"{size} and {threshold} have no translation")
    return f"log group {int(group)} snaplen {int(size_bytes)} queue-threshold {int(packets)}"


def _log_as(name: str, options: list[str]) -> str:
    prefix, group, *rest = options
    if group != "--nflog-group" or not prefix.isalnum():
        raise ValueError(f"{prefix} {group} has no translation")
    return _log(name, rest).replace("log ", f'log prefix "{prefix}" ', 1)


def _masked(text: str) -> tuple[int, int]:
    value, slash, mask = text.partition("/")
    return int(value, 0), int(mask, 0) if slash else ALL_BITS


def _known(word: str, words: tuple[str, ...]) -> str:
    if word not in words:
        raise ValueError(f"{word!r} has no translation: known are {', '.join(words)}")
    return word


Translated = Callable[[Match], tuple[str, ...]]

OPTIONS: Mapping[str, tuple[int, Translated]] = MappingProxyType(
    {
        "-m": (1, _nothing),
        "-i": (1, _incoming),
        "-o": (1, _outgoing),
        "-s": (1, _source),
        "-d": (1, _destination),
        "-p": (1, _protocol),
        "--comment": (1, _nothing),
        "--ctstate": (1, _state),
        "--ctstatus": (1, _status),
        "--ctdir": (1, _direction),
        "--mark": (1, _mark),
        "--sport": (1, _sport),
        "--dport": (1, _dport),
        "--tcp-flags": (2, _flags),
        "--icmp-type": (1, _icmp),
        "--icmpv6-type": (1, _icmp),
        "--length": (1, _length),
        "--hl-eq": (1, _hops),
        "--invert": (0, _spoofed),
    }
)
"""Option -> how many words follow, and the alternatives that it stands for."""

PRESENT: Mapping[int, tuple[str, ...]] = MappingProxyType({4: (), IPV6: ("dst", "rt")})
"""Modules that need no option: whether IPv6 has such a header."""

UNCONDITIONAL = ("-m", "--comment", "--invert")
"""Options that cannot be negated."""

PLAIN = ("-i", "-o", "-s", "-d", "-p")
"""Options that need no module."""

MODULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "comment": ("--comment",),
        "conntrack": ("--ctstate", "--ctstatus", "--ctdir"),
        "connmark": ("--mark",),
        "mark": ("--mark",),
        "tcp": ("--sport", "--dport", "--tcp-flags"),
        "udp": ("--sport", "--dport"),
        "icmp": ("--icmp-type",),
        "icmp6": ("--icmpv6-type",),
        "length": ("--length",),
        "hl": ("--hl-eq",),
        "rpfilter": ("--invert",),
    }
)

TARGETS: Mapping[tuple[str, ...], Callable[[str, list[str]], str]] = MappingProxyType(
    {
        ("RETURN",): lambda _, __: "return",
        ("DROP",): lambda _, __: "counter drop",
        ("MARK", "--set-xmark"): _set_mark,
        ("CONNMARK", "--set-xmark"): _set_mark,
        ("CT", "--notrack"): lambda _, __: "notrack",
        ("REJECT", "--reject-with"): _reject,
        ("NFLOG", "--nflog-group"): _log,
        ("NFLOG", "--nflog-prefix"): _log_as,
        ("NFQUEUE", "--queue-num"): _queue,
        ("NFQUEUE", "--queue-balance"): _queue,
    }
)
"""Target and its first option -> the statement."""
