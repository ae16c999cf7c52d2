"""What a lint looks at: the snapshot, who is there, and what came of both.

Law: nothing is worked out here.
"""

from collections.abc import Iterator

import msgspec

from calicod.compiler.draft import PolicyDraft
from calicod.compiler.population import Population
from calicod.resources.kinds import WorkloadEndpoint
from calicod.resources.snapshot import Snapshot
from calicod.ruleset.program import RuleSet


class Scene(msgspec.Struct, frozen=True):
    """`drafts` stand in the order of the RuleSet's policies; `node` None: every endpoint is local."""

    snapshot: Snapshot
    node: str | None
    population: Population
    drafts: tuple[PolicyDraft, ...]
    ruleset: RuleSet

    @property
    def is_peopled(self) -> bool:
        """There is any endpoint, of whatever node: without one, nothing is known of what selectors match."""
        return bool(self.snapshot.workload_endpoints or self.snapshot.host_endpoints)

    def workloads(self) -> Iterator[WorkloadEndpoint]:
        """The workload endpoints of this node."""
        return (s.endpoint for s in self.population.workloads if isinstance(s.endpoint, WorkloadEndpoint))
