"""Resources and packets as data, through the loader, the compiler and both engines."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from calicod.compiler.compile import compile
from calicod.engine.bitmap import BitmapEngine
from calicod.engine.linear import LinearEngine
from calicod.errors import Diagnostic, Severity
from calicod.model.decision import Decision
from calicod.model.hook import Hook
from calicod.model.interface import Interface
from calicod.model.network import parse_address
from calicod.model.protocol import NAMES
from calicod.packet.value import Packet
from calicod.resources.load import load
from calicod.resources.snapshot import snapshot
from calicod.ruleset.program import RuleSet

PROTOCOLS = {name.lower(): number for name, number in NAMES.items()}
ENGINES = (LinearEngine, BitmapEngine)


class Input(msgspec.Struct, frozen=True):
    """The compiled resources, the host's interfaces, and what the loader refused."""

    ruleset: RuleSet
    interfaces: tuple[Interface, ...]
    cluster: bool
    refused: tuple[Diagnostic, ...]

    @property
    def reasons(self) -> dict[str, int]:
        """Each finding that refused a resource, and how often."""
        found: dict[str, int] = {}
        for diagnostic in self.refused:
            reason = f"{diagnostic.code} {diagnostic.message}"
            found[reason] = found.get(reason, 0) + 1
        return found

    @property
    def is_of_a_later_issue(self) -> bool:
        """Whether everything refused is a feature that is not there yet."""
        return bool(self.refused) and all(d.code.startswith("N") for d in self.refused)


def read(resources: str | Sequence[object], options: Mapping[str, Any], file: str = "case.yaml") -> Input:
    """Loads YAML text or JSON data, and compiles what was accepted."""
    loaded = load(resources if isinstance(resources, str) else json.dumps(resources), file)
    cluster = bool(options.get("cluster"))
    return Input(
        ruleset=compile(snapshot(loaded.resources), None if cluster else options.get("node")).ruleset,
        interfaces=interfaces(options.get("interfaces") or {}),
        cluster=cluster,
        refused=tuple(d for d in loaded.diagnostics if d.severity is Severity.ERROR),
    )


def interfaces(named: Mapping[str, Sequence[str]]) -> tuple[Interface, ...]:
    """`{"eth0": ["192.0.2.1/24"]}`."""
    return tuple(
        Interface(index, name, tuple(parse_address(text.partition("/")[0]) for text in addresses))
        for index, (name, addresses) in enumerate(named.items(), 1)
    )


def packet(fields: Mapping[str, Any]) -> Packet:
    """A packet in the words of `calicod eval`."""
    source, protocol = parse_address(fields["src"]), fields["protocol"]
    return Packet(
        family=4 if len(source) == 4 else 6,
        protocol=protocol if isinstance(protocol, int) else PROTOCOLS[protocol],
        src=source,
        dst=parse_address(fields["dst"]),
        sport=fields.get("sport", -1),
        dport=fields.get("dport", -1),
        icmp_type=fields.get("icmp_type", -1),
        icmp_code=fields.get("icmp_code", -1),
        fragment=fields.get("fragment", False),
    )


class Judge:
    """Both engines over one input; they must agree in everything that they say."""

    def __init__(self, given: Input) -> None:
        self._cluster = given.cluster
        self._engines = [engine(given.ruleset, given.interfaces) for engine in ENGINES]

    def decide(self, fields: Mapping[str, Any]) -> Decision:
        """The decision of a packet."""
        linear, bitmap = (self._decide(engine, fields) for engine in self._engines)
        assert linear == bitmap, f"the engines differ on {fields}"
        return linear

    def _decide(self, engine: LinearEngine | BitmapEngine, fields: Mapping[str, Any]) -> Decision:
        if self._cluster:
            return engine.decide_cluster(packet(fields))
        return engine.decide_way(packet(fields), Hook(fields["hook"]), fields.get("in", ""), fields.get("out", ""))
