"""What is valid, and almost certainly not what was meant: the table of all lints.

Law: only what is certain from the snapshot alone; a warning changes nothing in the RuleSet. Endpoints of other nodes
are the business of those nodes.
"""

from collections.abc import Callable, Iterator

from calicod.compiler.lints.ends import cut_dns, log_only
from calicod.compiler.lints.finding import warning
from calicod.compiler.lints.reach import governed_hosts, idle_policies, idle_rules, matched_hosts
from calicod.compiler.lints.scene import Scene
from calicod.compiler.lints.services import services_without_slices
from calicod.compiler.lints.ties import ties
from calicod.compiler.lints.untracked import untracked_everywhere
from calicod.compiler.settings import CLUSTER_WIDE, OF_NODE, in_force, labels_of, prefixes
from calicod.errors import Diagnostic
from calicod.resources.kinds import WorkloadEndpoint
from calicod.ruleset.program import HostSettings
from calicod.selector.tree import All

Lint = Callable[[Scene], Iterator[Diagnostic]]


def lint(scene: Scene) -> tuple[Diagnostic, ...]:
    """Every warning, by place."""
    found = [diagnostic for check in LINTS for diagnostic in check(scene)]
    return tuple(sorted(found, key=lambda d: (d.place, d.code, d.kind or "", d.namespace or "", d.name or "", d.path)))


def rules_of_policies(scene: Scene) -> Iterator[Diagnostic]:
    """What is odd about the rules of each policy alone: its draft remembers it."""
    return (diagnostic for draft in scene.drafts for diagnostic in draft.warnings)


def ghost_tiers(scene: Scene) -> Iterator[Diagnostic]:
    """Semantics 4.1: such a tier is enforced, after all others, and denies at its end."""
    names = {tier.metadata.name for tier in scene.snapshot.tiers}
    for policy in scene.snapshot.policies:
        if policy.tier not in names and not policy.is_suppressed:
            tried = "would be enforced" if policy.is_staged else "is enforced"
            message = f'tier "{policy.tier}" does not exist: the policy {tried} after all tiers that do'
            yield warning(
                "W050", policy, "spec.tier", message, f"write a Tier named {policy.tier}, or correct the name"
            )


def missing_profiles(scene: Scene) -> Iterator[Diagnostic]:
    """Semantics 1.9: a profile that does not exist denies everything that reaches it."""
    names = {profile.metadata.name for profile in scene.snapshot.profiles}
    told: set[str] = set()
    for subject in scene.population.subjects:
        endpoint = subject.endpoint
        for index, name in enumerate(endpoint.profiles):
            if name in names:
                continue
            message = f'profile "{name}" does not exist: traffic that no policy decides is denied'
            if not (isinstance(endpoint, WorkloadEndpoint) and endpoint.interface_hash):
                yield warning("W052", endpoint, f"spec.profiles[{index}]", message)
            elif not index and name not in told:
                # Of a pod the second, of its service account, is never reached: that of the namespace allows all.
                told.add(name)
                yield warning("W052", endpoint, "metadata.namespace", message, "add the Namespace to the input")


def ignored_workloads(scene: Scene) -> Iterator[Diagnostic]:
    """Semantics 1.10; of one without addresses the loader has told."""
    message = "foreign source prefixes are not allowed on this host: the endpoint is ignored, its traffic dropped"
    hint = "set workloadSourceSpoofing: Any in the FelixConfiguration, or remove the prefixes"
    for workload in scene.population.ignored:
        if workload.allow_spoofed_source_prefixes:
            yield warning("W054", workload, "spec.allowSpoofedSourcePrefixes", message, hint)


def foreign_interfaces(scene: Scene) -> Iterator[Diagnostic]:
    """The kernel brings packets of workloads by the prefix of their interface, so this one is never judged."""
    known = prefixes(in_force(scene.snapshot, scene.node)) or HostSettings().workload_prefixes
    for workload in scene.workloads():
        if not workload.interface_name.startswith(known):
            message = (
                f'interface "{workload.interface_name}" does not begin with {" or ".join(known)}: it is not judged'
            )
            hint = "name its prefix in interfacePrefix of the FelixConfiguration"
            yield warning("W055", workload, "spec.interfaceName", message, hint)


def shared_interfaces(scene: Scene) -> Iterator[Diagnostic]:
    """Felix's choice: the first in the order of orchestrator, workload and endpoint."""
    first: dict[tuple[str, str], WorkloadEndpoint] = {}
    for workload in scene.workloads():
        active = first.setdefault((workload.node, workload.interface_name), workload)
        if active is not workload:
            name = f"{active.metadata.namespace}/{active.metadata.name}"
            message = f'interface "{workload.interface_name}" belongs to {name}: this endpoint is not active'
            yield warning("W056", workload, "spec.interfaceName", message)


def idle_configurations(scene: Scene) -> Iterator[Diagnostic]:
    """Semantics 1.13; what `node` None would be told concerns nodes that have labels, or all."""
    node, labels = scene.node, labels_of(scene.snapshot, scene.node)
    unknown = labels is None and not (node is None and scene.snapshot.nodes)
    for felix in scene.snapshot.felix_configurations:
        name = felix.metadata.name
        if unknown and felix.node_selector is not None and not isinstance(felix.node_selector, All):
            whose = f"node {node}" if node else "nodes"
            message = f"the labels of {whose} are not known: this configuration is not applied"
            hint = f"add the Node of Kubernetes, or use the name {OF_NODE}<node>"
            yield warning("W057", felix, "spec.nodeSelector", message, hint)
        elif felix.node_selector is None and name != CLUSTER_WIDE and not name.startswith(OF_NODE):
            message = f'a configuration named "{name}" without nodeSelector applies to no node'
            yield warning("W058", felix, "metadata.name", message, f"call it {CLUSTER_WIDE} or {OF_NODE}<node>")


LINTS: tuple[Lint, ...] = (
    ghost_tiers,
    missing_profiles,
    ignored_workloads,
    foreign_interfaces,
    shared_interfaces,
    idle_configurations,
    rules_of_policies,
    idle_policies,
    idle_rules,
    log_only,
    cut_dns,
    governed_hosts,
    matched_hosts,
    ties,
    services_without_slices,
    untracked_everywhere,
)
