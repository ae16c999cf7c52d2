"""Every way through the host, every kind of packet, both families, each steering: what arrives is what `eval` says.

Law: nothing here knows what is right; what `calicod eval` answers about the same resources is compared with what real
sockets see. Each way is tried with what passes and with what does not, and there must be both.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.netns.attempts import KINDS, Attempt, Field
from tests.netns.flood import ECHO
from tests.netns.node import FAMILIES, Node, address, node
from tests.netns.running import CALICOD, Running, running_in
from tests.netns.test_daemon import endpoints
from tests.netns.variants import VARIANTS, needs_variant

pytestmark = [pytest.mark.netns, pytest.mark.security, pytest.mark.slow]
SERVICE = {4: "10.99.0.1", 6: "fd99::1"}
"""What DNAT turns into the address of w1."""
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
PROTOCOLS = {"tcp": "tcp", "sctp": "sctp", "icmp": "icmp"}
"""In the words of `eval`; every other kind is UDP."""
LO = """
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: lo, labels: {role: host}}
spec: {node: node, interfaceName: lo}
"""


def ports(action: str, side: str, first: int, more: str = "") -> str:
    """A rule for a hundred ports, for each protocol that has some."""
    return "".join(
        f"  - {{action: {action}, protocol: {protocol}, {side}: {{{more}ports: ['{first}:{first + 99}']}}}}\n"
        for protocol in ("TCP", "UDP", "SCTP")
    )


def echo(action: str, code: int) -> str:
    """A rule for echo requests of a code, in both families."""
    rule = "  - {{action: {}, protocol: {}, icmp: {{type: {}, code: {}}}}}\n"
    return rule.format(action, "ICMP", ECHO[4], code) + rule.format(action, "ICMPv6", ECHO[6], code)


def policy(name: str, order: int, selector: str, spec: str, **rules: str) -> str:
    head = f"---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {{name: {name}}}\n"
    text = f'{head}spec:\n  order: {order}\n  selector: "{selector}"\n  types: [{", ".join(rules)}]\n{spec}'
    return text + "".join(f"  {direction.lower()}:\n{rules[direction]}" for direction in rules)


NORMAL = "".join(ports("Allow", "destination", first) for first in (7100, 7500, 7600))
NORMAL += "".join(echo("Allow", code) for code in (0, 2, 5))
BEFORE = ports("Deny", "destination", 7500) + echo("Deny", 2)
RAW = ports("Allow", "destination", 7300) + ports("Deny", "destination", 7600) + echo("Allow", 4) + echo("Deny", 5)
BACK = ports("Allow", "source", 7300)
POLICIES = {
    "normal": policy("normal", 100, "has(role)", "", Ingress=NORMAL, Egress=NORMAL),
    "before": policy("before", 10, "role == 'host'", "  preDNAT: true\n  applyOnForward: true\n", Ingress=BEFORE),
    "raw": policy("raw", 5, "role == 'host'", "  doNotTrack: true\n  applyOnForward: true\n", Ingress=RAW, Egress=BACK),
}


class Way(msgspec.Struct, frozen=True):
    """From whom to whom, through which hook; the ports and codes of ICMP that each half of the attempts has."""

    client: str
    server: str
    hook: str
    entering: str = ""
    leaving: str = ""
    ports: tuple[int, int] = (7100, 7200)
    codes: tuple[int, int] = (0, 1)
    target: Mapping[int, str] | None = None

    def address(self, family: int) -> str:
        """What the client calls."""
        if self.target is not None:
            return self.target[family]
        return address(self.client, family, node=True) if self.server == "node" else address(self.server, family)


WAYS = {
    "in": Way("ext", "node", "input", "eth0"),
    "out": Way("node", "ext", "output", leaving="eth0"),
    "forward": Way("ext", "w1", "forward", "eth0", "cali1"),
    "forward-out": Way("w1", "ext", "forward", "cali1", "eth0"),
    "between-workloads": Way("w1", "w2", "forward", "cali1", "cali2"),
    "workload-to-host": Way("w1", "node", "input", "cali1"),
    "lo": Way("node", "node", "output", leaving="lo", target=LOOPBACK),
    "preDNAT": Way("ext", "node", "input", "eth0", ports=(7100, 7500), codes=(0, 2)),
    "preDNAT-translated": Way("ext", "w1", "forward", "eth0", "cali1", (7100, 7500), (0, 2), SERVICE),
    "untracked": Way("ext", "node", "input", "eth0", ports=(7300, 7600), codes=(4, 5)),
    "untracked-forward": Way("ext", "w1", "forward", "eth0", "cali1", (7100, 7600), (0, 5)),
}


def attempts(name: str, family: int) -> list[Attempt]:
    """Two of each kind on a way."""
    way = WAYS[name]
    made = []
    for number, kind in enumerate(KINDS):
        for half in range(2):
            port = way.codes[half] if kind == "icmp" else way.ports[half] + number
            label = f"{name}/{family}/{kind}/{port}"
            made.append(Attempt(label, kind, family, way.client, way.server, way.address(family), port))
    return made


def questions(attempt: Attempt) -> Iterator[dict[str, Any]]:
    """What `eval` is asked: about the packet at its hook, and before DNAT, where it has another target."""
    way = WAYS[attempt.name.partition("/")[0]]
    family = attempt.family
    source = address("ext", family, node=True) if way.client == "node" else address(way.client, family)
    fields = {"src": LOOPBACK[family] if way.leaving == "lo" else source}
    fields |= {"in": way.entering} if way.entering else {}
    fields["protocol"] = PROTOCOLS.get(attempt.kind, "udp")
    if attempt.kind == "icmp":
        fields |= {"icmp_type": ECHO[family], "icmp_code": attempt.port}
    else:
        fields |= {"sport": 50000, "dport": attempt.port}
    leaving = {"out": way.leaving} if way.leaving else {}
    if way.target is SERVICE:
        yield fields | {"id": attempt.name, "hook": "prerouting", "dst": attempt.target}
        yield fields | {"id": attempt.name, "hook": way.hook, "dst": address(way.server, family)} | leaving
    else:
        yield fields | {"id": attempt.name, "hook": way.hook, "dst": attempt.target} | leaving


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bool]:
    """What `calicod eval` says of every attempt."""
    folder = tmp_path_factory.mktemp("eval")
    (folder / "policies").mkdir()
    (folder / "policies" / "all.yaml").write_text(resources())
    links = {"eth0": "ext", "eth1": "far", "cali1": "w1", "cali2": "w2", "caliw3": "w3"}
    interfaces = {link: [address(host, f, node=True) for f in FAMILIES] for link, host in links.items()}
    (folder / "interfaces.json").write_text(json.dumps(interfaces | {"lo": list(LOOPBACK.values())}))
    asked = [q for name in WAYS for family in FAMILIES for a in attempts(name, family) for q in questions(a)]
    command = (*CALICOD, "eval", str(folder / "policies"), "--node", "node", "--packets", "-")
    done = subprocess.run(
        (*command, "--interfaces", str(folder / "interfaces.json")),
        input="".join(f"{json.dumps(fields)}\n" for fields in asked),
        capture_output=True,
        text=True,
        check=True,
    )
    answered = [json.loads(line) for line in done.stdout.splitlines()]
    names = {answer["id"] for answer in answered}
    return {name: all(a["verdict"] == "allow" for a in answered if a["id"] == name) for name in names}


def resources() -> str:
    """Everything in one text."""
    return endpoints() + LO + "".join(POLICIES.values())


@pytest.fixture(scope="module", params=VARIANTS)
def router(request: pytest.FixtureRequest) -> Iterator[Node]:
    needs_variant(request.param)
    with node("cm-", request.param) as built:
        built.world.run(built.name, "ip", "link", "set", "lo", "mtu", "1500")
        for family, program in ((4, "iptables"), (6, "ip6tables")):
            to_w1 = ("-j", "DNAT", "--to-destination", address("w1", family))
            built.world.run(built.name, program, "-t", "nat", "-A", "PREROUTING", "-d", SERVICE[family], *to_w1)
        yield built


@pytest.fixture(scope="module")
def daemon(router: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_in(router, tmp_path_factory.mktemp("daemon")) as running:
        running.write(all=resources())
        running.start()
        yield running


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("way", WAYS)
def test_what_arrives_is_what_eval_says(
    daemon: Running, answers: Mapping[str, bool], way: str, family: int, tmp_path: Path
) -> None:
    tried = attempts(way, family)
    expected = {attempt.name for attempt in tried if answers[attempt.name]}
    with Field(daemon.router, tried) as field:
        daemon.router.forget()
        arrived = field.arrived(expected)

    assert arrived == expected
    assert len(expected) == len(tried) // 2, "half of them should pass, or nothing is proved"
