"""Resources as people and programs mistype them: valid ones, with one or a few things changed at random."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import yaml

from calicod.resources.load import load

RECORDED = Path(__file__).parent.parent / "conformance" / "validity.json.gz"
CALICO = "projectcalico.org/v3"
OTHERS = (
    {
        "apiVersion": CALICO,
        "kind": "FelixConfiguration",
        "metadata": {"name": "default"},
        "spec": {
            "interfacePrefix": "cali",
            "failsafeInboundHostPorts": [{"protocol": "tcp", "port": 22, "net": "10.0.0.0/8"}],
            "kubeNodePortRanges": ["30000:32767"],
            "defaultEndpointToHostAction": "Accept",
        },
    },
    {
        "apiVersion": CALICO,
        "kind": "StagedGlobalNetworkPolicy",
        "metadata": {"name": "try"},
        "spec": {"stagedAction": "Learn", "order": 5, "selector": "has(a)", "ingress": [{"action": "Deny"}]},
    },
    {
        "apiVersion": CALICO,
        "kind": "StagedNetworkPolicy",
        "metadata": {"name": "gone", "namespace": "prod"},
        "spec": {"stagedAction": "Delete", "tier": "sec"},
    },
    {
        "apiVersion": CALICO,
        "kind": "StagedKubernetesNetworkPolicy",
        "metadata": {"name": "web", "namespace": "prod"},
        "spec": {
            "podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [
                        {"namespaceSelector": {"matchLabels": {"team": "a"}}, "podSelector": {}},
                        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                    ],
                    "ports": [{"port": 80, "endPort": 90}, {"protocol": "UDP", "port": "dns"}],
                }
            ],
            "egress": [{}],
        },
    },
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod", "labels": {"team": "a"}}},
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web", "namespace": "prod"}},
    {"apiVersion": CALICO, "kind": "TierList", "items": [{"metadata": {"name": "t"}, "spec": {"order": 5}}]},
)
POLICIES = (
    {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "web", "namespace": "prod"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {}}, {"ipBlock": {"cidr": "fd00::/8"}}], "ports": [{"port": 80}]}],
        },
    },
    {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "guard"},
        "spec": {
            "tier": "Admin",
            "priority": 10,
            "subject": {"pods": {"namespaceSelector": {"matchLabels": {"team": "a"}}, "podSelector": {}}},
            "ingress": [
                {
                    "name": "r",
                    "action": "Accept",
                    "from": [{"namespaces": {}}],
                    "protocols": [
                        {"tcp": {"destinationPort": {"range": {"start": 1, "end": 9}}}},
                        {"destinationNamedPort": "http"},
                    ],
                }
            ],
            "egress": [{"action": "Deny", "to": [{"networks": ["10.0.0.0/8", "::/0"]}]}],
        },
    },
    {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": "BaselineAdminNetworkPolicy",
        "metadata": {"name": "default"},
        "spec": {
            "subject": {"namespaces": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}},
            "ingress": [
                {
                    "action": "Deny",
                    "from": [{"pods": {"namespaceSelector": {}, "podSelector": {}}}],
                    "ports": [{"portNumber": {"protocol": "UDP", "port": 53}}, {"namedPort": "http"}],
                }
            ],
        },
    },
)
OPEN = (
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web",
            "namespace": "prod",
            "labels": {"app": "web"},
            "annotations": {"cni.projectcalico.org/allowedSourcePrefixes": '["10.0.0.0/8"]'},
        },
        "spec": {
            "nodeName": "n1",
            "serviceAccountName": "web",
            "hostNetwork": False,
            "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}]}],
        },
        "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]},
    },
    {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "web", "namespace": "prod", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    },
    {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": {"a": "b"}}, "spec": {}},
)
"""Objects of Kubernetes, which have more fields than calicod knows."""
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 0.5, 1e300, 2**70, [], {}, [[]], [None], {"a": {}}, {"": ""}),
    *(
        "",
        " ",
        "a\nb",
        "\u2028",
        "é" * 600,
        "null",
        "1:10",
        "010",
        "<<",
        "*",
        "&a",
        "!x",
        "%",
        "\t",
        "'",
        '"',
        "10.0.0.1/8",
    ),
    *(
        "::/0",
        "global()",
        "all() &&",
        "!" * 200,
        "(" * 2000,
        "Allow",
        "TCP",
        "http",
        "80-90",
        "default",
        "_",
        "{}",
        "0x1F",
    ),
)
CHARACTERS = "\t\n\r :-{}[]&*!|>'\"%@`#,?~<=\\\0\x07\x85\ufeff\ud800\u2028é\U0001f600019aZ_./"
UNKNOWN = "frobnicate"

Path_ = tuple[str | int, ...]


def _valid() -> tuple[dict[str, Any], ...]:
    recorded = [case["resource"] for case in json.loads(gzip.decompress(RECORDED.read_bytes()))["cases"]]
    return (*(one for one in recorded if load(json.dumps(one), "f").resources), *OTHERS, *POLICIES, *OPEN)


VALID = _valid()


def paths(value: Any, prefix: Path_ = ()) -> Iterator[Path_]:
    """The way to every value within a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield (*prefix, key)
        yield from paths(child, (*prefix, key))


def at(value: Any, path: Path_) -> Any:
    """What is at the end of a path."""
    for key in path:
        value = value[key]
    return value


def copy(value: Any) -> Any:
    """The same value, changed without harm to it."""
    return json.loads(json.dumps(value))


def odd(random: Random) -> Any:
    """A value that belongs nowhere, or almost."""
    return copy(random.choice(ODD))


def closed(random: Random) -> dict[str, Any]:
    """A valid one of a kind all of whose fields are known."""
    found = resource(random)
    return found if found["kind"] not in {one["kind"] for one in OPEN} else closed(random)


def resource(random: Random) -> dict[str, Any]:
    """A valid one."""
    chosen: dict[str, Any] = copy(random.choice(VALID))
    return chosen


def mutated(random: Random) -> dict[str, Any]:
    """A resource of which up to three values were changed, moved, renamed or removed."""
    changed = resource(random)
    for _ in range(random.choice([0, 1, 1, 1, 2, 3])):
        ways = list(paths(changed))
        deep = [way for way in ways if len(way) > 2]
        if ways:
            *way, last = random.choice(deep if deep and random.random() < 0.9 else ways)
            _change(random, at(changed, tuple(way)), last)
    return changed


def _change(random: Random, parent: Any, key: str | int) -> None:
    how = random.randrange(6)
    if how == 0:
        del parent[key]
    elif how == 1 and isinstance(parent, dict):
        parent[random.choice([str(key).upper(), f"{key}s", str(key)[:-1], UNKNOWN])] = parent.pop(key)
    elif how == 2:
        parent[key] = [parent[key]]
    elif how == 3 and isinstance(parent, list):
        parent.insert(random.randint(0, len(parent)), copy(parent[key]))
    else:
        parent[key] = odd(random)


def text(random: Random) -> str:
    """Mutated resources as JSON or YAML, of which some characters or lines were changed."""
    documents = [mutated(random) for _ in range(random.choice([1, 1, 1, 2]))]
    if random.random() < 0.4:
        written = "\n---\n".join(json.dumps(one, indent=random.choice([None, 2])) for one in documents)
    else:
        written = yaml.safe_dump_all(documents, default_flow_style=random.choice([None, False]), allow_unicode=True)
    for _ in range(random.choice([0, 0, 0, 1, 1, 2, 3])):
        written = _typo(random, written)
    return written


def _typo(random: Random, written: str) -> str:
    place = random.randint(0, len(written))
    lines = written.split("\n")
    line = random.randrange(len(lines))
    match random.randrange(6):
        case 0:
            return written[:place] + random.choice(CHARACTERS) + written[place:]
        case 1:
            return written[:place] + written[place + random.randint(1, 5) :]
        case 2:
            return written[:place] + random.choice(CHARACTERS) + written[place + 1 :]
        case 3:
            return "\n".join([*lines[:line], random.choice([" ", "  ", "\t", "- "]) + lines[line], *lines[line + 1 :]])
        case 4:
            return "\n".join([*lines[: line + 1], lines[line], *lines[line + 1 :]])
        case _:
            return "\n".join(lines[:line] + lines[line + 1 :])
