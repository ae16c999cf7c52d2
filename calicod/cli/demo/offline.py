"""What the policy of an example means, by the engines alone: no packet, no kernel.

Law: both engines judge every flow, at the hook and between the interfaces that the packet will pass on the node.
"""

from pathlib import Path

from calicod.cli.demo.cases import Flow
from calicod.cli.demo.world import NODE, World
from calicod.compiler.compile import compile
from calicod.datastore.files import read
from calicod.engine.bitmap import BitmapEngine
from calicod.engine.linear import LinearEngine
from calicod.errors import CalicodError, Severity
from calicod.model.decision import Decision, PolicyReference
from calicod.model.hook import Hook
from calicod.model.network import parse_address
from calicod.packet.value import Packet
from calicod.resources.snapshot import snapshot

ECHO_REQUEST = {4: 8, 6: 128}
EPHEMERAL = 40000
"""Any source port: no rule of the examples looks at it."""


class Offline:
    """The engines of one example on the node of a world, and what is told of it. Raises CalicodError for errors."""

    def __init__(self, folder: Path, world: World) -> None:
        loaded = read([folder])
        compilation = compile(snapshot(loaded.resources), NODE)
        self.findings = (*loaded.diagnostics, *compilation.diagnostics)
        errors = [finding for finding in self.findings if finding.severity is Severity.ERROR]
        if errors:
            told = "\n".join(str(finding) for finding in errors)
            raise CalicodError("K080", f"{folder.name} does not load as it should\n{told}")
        self.world = world
        self.engines = tuple(make(compilation.ruleset, world.interfaces()) for make in (LinearEngine, BitmapEngine))

    def decide(self, flow: Flow) -> Decision:
        """The decision for the first packet of a flow. Raises CalicodError when the engines disagree."""
        hook, entering, leaving = passage(self.world, flow)
        linear, bitmap = (engine.decide(packet(self.world, flow), hook, entering, leaving) for engine in self.engines)
        if linear != bitmap:
            raise CalicodError("K080", f"{flow}: the engines disagree: {linear} and {bitmap}")
        return linear


def passage(world: World, flow: Flow) -> tuple[Hook, str, str]:
    """Where on the node a flow is judged, and between which interfaces."""
    entering, leaving = world.interface(flow.source), world.interface(flow.target)
    if flow.source == NODE:
        return Hook.OUTPUT, "", leaving
    return (Hook.INPUT if flow.target == NODE else Hook.FORWARD), entering, leaving


def packet(world: World, flow: Flow) -> Packet:
    """The first packet of a flow."""
    family = flow.family or 4
    src, dst = (parse_address(world.address(name, family)) for name in (flow.source, flow.target))
    if flow.is_icmp:
        return Packet(family, flow.number, src, dst, icmp_type=ECHO_REQUEST[family], icmp_code=0)
    return Packet(family, flow.number, src, dst, EPHEMERAL, flow.port)


def place(reference: PolicyReference | None) -> str:
    """The file, without its folders, and line of a rule."""
    return f"{Path(reference.file).name}:{reference.line}" if reference else ""


def name(reference: PolicyReference | None) -> str:
    """`Kind name` or `Kind namespace/name`."""
    if reference is None:
        return ""
    return f"{reference.kind} {'/'.join(filter(None, (reference.namespace, reference.name)))}"
