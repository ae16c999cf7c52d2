"""A snapshot becomes the RuleSet of one node.

Law: a pure function of snapshot and node: equal snapshots give equal RuleSets, with or without a memory. Never raises
on content; what deserves a word becomes a Diagnostic.
"""

from functools import partial

import msgspec

from calicod.compiler.draft import Numbers, PolicyDraft, RuleDraft, profile_draft
from calicod.compiler.endpoints import Subject
from calicod.compiler.lint import lint
from calicod.compiler.lints.scene import Scene
from calicod.compiler.memory import Memo
from calicod.compiler.order import tiers_in_order
from calicod.compiler.population import Census, Packed, Population, census
from calicod.compiler.programs import Planner, phases_of
from calicod.compiler.settings import first_prefix, in_force, settings, spoofing_allowed
from calicod.errors import Diagnostic
from calicod.resources.kinds import Policy, Profile, WorkloadEndpoint, identity
from calicod.resources.snapshot import Snapshot
from calicod.ruleset.program import CompiledPolicy, LocalEndpoint, RuleSet

Identity = tuple[str, str, str]
HERE = "here"


class Compilation(msgspec.Struct, frozen=True):
    """The RuleSet, and what the compiler has to say about the snapshot (warnings only)."""

    ruleset: RuleSet
    diagnostics: tuple[Diagnostic, ...] = ()


class Memory:
    """What one compilation leaves for the next one, best of the same node."""

    def __init__(self) -> None:
        self.populations: Memo[str, Census, Population] = Memo()
        self.packed: Packed = Memo()
        self.policies: Memo[Identity, Policy, PolicyDraft] = Memo()
        self.profiles: Memo[str, Profile | None, RuleDraft] = Memo()

    def turn(self) -> None:
        """A compilation is over: forgets what it did not ask for."""
        self.populations.turn()
        self.policies.turn()
        self.profiles.turn()


def compile(snapshot: Snapshot, node: str | None, memory: Memory | None = None) -> Compilation:  # noqa: A001  design 1
    """The RuleSet of a node; `node` None: the endpoints of every node are local. `memory` only saves time."""
    memory = memory or Memory()
    population = _population(snapshot, node, memory)
    written = [policy for policy in snapshot.policies if not policy.is_suppressed]
    tiers = tiers_in_order(snapshot.tiers, written)
    rank = {tier.name: number for number, tier in enumerate(tiers)}
    drafts = [memory.policies.get(identity(policy), policy, PolicyDraft) for policy in written]
    drafts.sort(key=lambda draft: (rank[draft.policy.tier], draft.key))
    numbers = Numbers()
    policies = [draft.compiled(population, numbers) for draft in drafts]
    profiles = _profiles(snapshot, population, memory, numbers)
    places = {profile.name: len(policies) + index for index, profile in enumerate(profiles)}
    planner = Planner(
        [draft.policy for draft in drafts],
        [draft.governed(population) for draft in drafts],
        tiers,
        len(population.subjects),
    )
    locals_ = tuple(_local(subject, position, planner, places) for position, subject in enumerate(population.subjects))
    ruleset = RuleSet(
        node=node,
        settings=settings(snapshot, node),
        ip_sets=population.members.fill(numbers.definitions()),
        policies=(*policies, *profiles),
        programs=planner.programs(),
        workloads=locals_[: len(population.workloads)],
        hosts=locals_[len(population.workloads) :],
        known=population.known,
        ignored_interfaces=tuple(sorted({workload.interface_name for workload in population.ignored})),
    )
    population.forget_selectors()
    memory.turn()
    return Compilation(ruleset, lint(Scene(snapshot, node, population, tuple(drafts), ruleset)))


def _population(snapshot: Snapshot, node: str | None, memory: Memory) -> Population:
    felix = in_force(snapshot, node)
    given = census(snapshot, node, spoofing=spoofing_allowed(felix), prefix=first_prefix(felix))

    def settle(given: Census) -> Population:
        population = Population(given, memory.packed)
        memory.packed.turn()
        return population

    return memory.populations.get(HERE, given, settle)


def _profiles(
    snapshot: Snapshot, population: Population, memory: Memory, numbers: Numbers
) -> tuple[CompiledPolicy, ...]:
    """The profiles that endpoints of this node list, by name, written or not."""
    written = {profile.metadata.name: profile for profile in snapshot.profiles}
    listed = sorted({name for subject in population.subjects for name in subject.endpoint.profiles})
    drafts = [memory.profiles.get(name, written.get(name), partial(profile_draft, name)) for name in listed]
    return tuple(draft.numbered(numbers) for draft in drafts)


def _local(subject: Subject, position: int, planner: Planner, places: dict[str, int]) -> LocalEndpoint:
    endpoint = subject.endpoint
    profiles = tuple(places[name] for name in endpoint.profiles)
    programs = planner.programs_of(position, profiles, phases_of(endpoint))
    if isinstance(endpoint, WorkloadEndpoint):
        addresses, spoofed = endpoint.ip_networks, endpoint.allow_spoofed_source_prefixes
    else:
        addresses, spoofed = endpoint.expected_ips, ()
    return LocalEndpoint(
        type=endpoint.kind,
        namespace=endpoint.metadata.namespace,
        name=endpoint.metadata.name,
        labels=subject.labels,
        interface=endpoint.interface_name,
        addresses=addresses,
        spoofed_prefixes=spoofed,
        place=endpoint.place,
        **msgspec.structs.asdict(programs),
    )
