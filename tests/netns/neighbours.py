"""Rules of other firewalls as they are on real hosts, and what these programs do when they start and restart.

`foreign/`: ufw 0.36.2 (22 and 8001 allowed, 8000 denied) and firewalld 1.3.3 (zone public, 8001 added), recorded from
the programs; Docker's bridge with one published port and kube-proxy's service with a node port, as they write them.
"""

from pathlib import Path

from tests.netns.node import Node

FOREIGN = Path(__file__).parent / "foreign"
NAMES = ("ufw", "firewalld", "docker", "kube-proxy")
HOOKS = {"input": "INPUT", "forward": "FORWARD", "output": "OUTPUT"}


def load(router: Node, name: str) -> None:
    """Puts the program's rules there, in the variant of the router; firewalld speaks to nf_tables itself."""
    if name == "firewalld":
        router.world.run(router.name, "nft", "-f", str(FOREIGN / "firewalld.nft"))
        return
    for family in (4, 6):
        path = FOREIGN / f"{name}.{family}.rules"
        if path.exists():
            router.restore(family, path.read_text())


def reload_ufw(router: Node) -> None:
    """What `ufw reload` does: `ufw-init stop` takes its jumps and chains away, `start` restores its files."""
    for family in (4, 6):
        text = (FOREIGN / f"ufw.{family}.rules").read_text()
        for hook in HOOKS.values():
            router.iptables(family, "-P", hook, "ACCEPT")
        for line in text.splitlines():
            if line.startswith(tuple(f"-A {hook} " for hook in HOOKS.values())):
                router.iptables(family, "-D", *line.split()[1:])
        for line in text.splitlines():
            if line.startswith(":ufw"):
                router.iptables(family, "-F", line[1:].split()[0])
        router.restore(family, text)


def reload_firewalld(router: Node) -> None:
    """What `firewall-cmd --reload`, and its start, do: every table of iptables is flushed, whoever filled it; then its
    own table goes and comes in one transaction."""
    for family in (4, 6):
        for table in ("filter", "mangle", "nat", "raw"):
            for word in ("-F", "-X", "-Z"):
                router.iptables(family, "-t", table, word)
    text = "table inet firewalld\ndelete table inet firewalld\n" + (FOREIGN / "firewalld.nft").read_text()
    router.world.run(router.name, "nft", "-f", "-", text=text)


def restart_docker(router: Node) -> None:
    """What dockerd does to FORWARD when it starts: each of its jumps is taken away and put before all others."""
    for rule in ("DOCKER-ISOLATION-STAGE-1", "DOCKER-USER"):
        router.iptables(4, "-D", "FORWARD", "-j", rule)
        router.iptables(4, "-I", "FORWARD", "-j", rule)


def theirs(router: Node) -> list[str]:
    """Every rule that is not calicod's, in order, with the policies of the hooks."""
    rules = [line for line in router.save().splitlines() if line.startswith("-A") and "calicod-" not in line]
    return rules + router.world.run(router.name, "nft", "list", "tables").count("inet firewalld") * ["firewalld"]
