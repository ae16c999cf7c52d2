"""Checks of what others have in the kernel: firewalls, queues, marks.

Law: what belongs to somebody is told with his name, his rule or his process.
"""

from collections.abc import Iterator
from itertools import pairwise

import msgspec

from calicod.cli.doctor.facts import Facts, Holder
from calicod.cli.doctor.finding import Finding, fail, ok, warn
from calicod.netfilter.clash import find
from calicod.netfilter.table import PREFIX, Saved, words_of

AFTER = "its rules apply to what calicod allows"


class Firewall(msgspec.Struct, frozen=True):
    """A program by the beginnings of its chains in iptables, or of its tables in nf_tables.

    `drawback`: what goes wrong beside it, "" if nothing does.
    """

    name: str
    chains: tuple[str, ...]
    tables: tuple[str, ...] = ()
    drawback: str = ""
    mend: str = ""


FIREWALLS = (
    Firewall("ufw", ("ufw-", "ufw6-")),
    Firewall(
        "firewalld",
        ("INPUT_direct", "IN_public", "FWDI_"),
        ("inet firewalld", "ip firewalld", "ip6 firewalld"),
        "when it starts or reloads it flushes all of iptables, whatever its backend: calicod's rules there are "
        "back within a second, and what got through is judged again",
        "`steering: nft`, a table that it leaves alone; or change it at run time (`firewall-cmd` without --reload)",
    ),
    Firewall("Docker", ("DOCKER",), ("ip docker-bridges", "ip6 docker-bridges")),
    Firewall("Podman or CNI", ("NETAVARK", "CNI-"), ("inet netavark",)),
    Firewall("libvirt", ("LIBVIRT_",), ("ip libvirt_network", "ip6 libvirt_network")),
    Firewall("fail2ban", ("f2b-",), ("inet f2b-table",)),
    Firewall("kube-proxy", ("KUBE-",), ("ip kube-proxy", "ip6 kube-proxy")),
    Firewall("Tailscale", ("ts-",)),
    Firewall(
        "Calico's Felix",
        ("cali-", "cali_"),
        ("ip calico", "ip6 calico"),
        "it enforces the same policy a second time and moves its rules before calicod's again and again",
        "run one of the two, or set `chainInsertMode: Append` in its FelixConfiguration",
    ),
    Firewall(
        "Cilium",
        ("CILIUM_", "OLD_CILIUM_"),
        (),
        "its eBPF programs pass packets between pods before netfilter sees them",
        "let calicod manage host interfaces only, or run one of the two",
    ),
)


def firewalls(facts: Facts) -> tuple[Finding, ...]:
    """Programs that are known by name, and tables that are not."""
    chains = {c for saved in facts.rules.values() for t in saved.values() for c in t if not c.startswith(PREFIX)}
    found = [f for f in FIREWALLS if any(name.startswith(f.chains) for name in chains) or has_table(f, facts)]
    told = [
        warn(f"{f.name} is here: {f.drawback}", f.mend) if f.drawback else ok(f"{f.name} is here: {AFTER}")
        for f in found
    ]
    known = tuple(start for firewall in found for start in firewall.tables)
    strange = [name for name in facts.tables if name not in known and not of_iptables(name)]
    if strange:
        told.append(ok(f"tables of nftables are here ({', '.join(strange)}): {AFTER}, or before it"))
    return tuple(told) or (ok("no other firewall is here"),)


def has_table(firewall: Firewall, facts: Facts) -> bool:
    """Whether one of its tables is there."""
    return any(name in firewall.tables for name in facts.tables)


def of_iptables(table: str) -> bool:
    """Whether iptables-nft made the table, or calicod did."""
    family, _, name = table.partition(" ")
    return name.startswith("calicod") or (
        family in {"ip", "ip6"} and name in {"filter", "nat", "mangle", "raw", "security"}
    )


def variants(facts: Facts) -> tuple[Finding, ...]:
    """Rules in both variants of iptables: each packet passes both, and people see half."""
    used = sorted({name.split()[0] for name, saved in facts.rules.items() if in_use(saved)})
    if len(used) > 1:
        message = f"rules of others are in {' and in '.join(used)}: a packet must pass both"
        return (warn(message, "`update-alternatives --config iptables`, and move the rules to one of them"),)
    return (ok(f"rules of others are in {used[0]}" if used else "no rules of others in iptables"),)


def in_use(saved: Saved) -> bool:
    """Whether anybody but calicod has rules there."""
    chains = ((name, chain) for table in saved.values() for name, chain in table.items())
    return any(PREFIX not in rule for name, chain in chains if not name.startswith(PREFIX) for rule in chain.rules)


def queues(facts: Facts) -> tuple[Finding, ...]:
    """Queue numbers of ours that somebody else reads."""
    ours = range(facts.settings.queue_base, facts.settings.queue_base + 2 * facts.settings.workers)
    family = facts.daemon.family if facts.daemon else ()
    taken = {n: holder for n, holder in sorted(facts.queues.items()) if n in ours and holder.pid not in family}
    if not taken:
        state = "calicod's" if facts.daemon else "free"
        return (ok(f"queues {ours[0]}-{ours[-1]} are {state}"),)
    mend = "stop it, or give calicod others: `queue_base`"
    return tuple(fail(f"queue {number} is read by {shown(holder)}", mend) for number, holder in taken.items())


def shown(holder: Holder) -> str:
    """Who it is."""
    return f"process {holder.pid} ({holder.name})" if holder.pid else "a process that cannot be found here"


def marks(facts: Facts) -> tuple[Finding, ...]:
    """Rules that take our queues or our bits of the marks, or show these to others."""
    mend = "give that rule a mask, or calicod other bits: `packet_mark_mask`, `connection_mark_mask`, `queue_base`"
    clashes = (*find(facts.rules, facts.steering), *facts.native)
    told = [(fail if clash.fatal else warn)(str(clash), mend) for clash in clashes]
    told += [
        warn(
            f"{where}: `{rule}` copies calicod's bits of the connection mark into the packet mark: "
            "a routing rule (`ip rule … fwmark`) without a mask no longer matches",
            f"give that rule a mask without {facts.steering.marks.connection_mask:#x}",
        )
        for where, rule in restored(facts)
    ]
    return tuple(told) or (ok("no rule of others uses calicod's queues or bits of the marks"),)


def restored(facts: Facts) -> Iterator[tuple[str, str]]:
    """Rules of others that restore our bits of the connection mark."""
    for where, saved in facts.rules.items():
        for table, chains in saved.items():
            for name, chain in chains.items():
                for rule in chain.rules:
                    if not name.startswith(PREFIX) and restores(rule, facts.steering.marks.connection_mask):
                        yield f"{where} {table}", f"-A {name} {rule}"


def restores(rule: str, bits: int) -> bool:
    """Whether it brings any of these bits of the connection mark into the packet's."""
    words = words_of(rule)
    if "--restore-mark" not in words:
        return False
    options = dict(pairwise(words))
    mask = options.get("--ctmask") or options.get("--mask") or "0xffffffff"
    try:
        return bool(int(mask, 0) & bits)
    except ValueError:
        return True
