"""Untracked policies that judge nothing where they are selected.

Law: told of each host endpoint that is selected, since the policy may judge on others.
"""

from collections.abc import Iterator

from calicod.compiler.labels import positions_of
from calicod.compiler.lints.finding import title, warning
from calicod.compiler.lints.scene import Scene
from calicod.errors import Diagnostic
from calicod.resources.kinds import HostEndpoint
from calicod.ruleset.topology import EVERY_INTERFACE


def untracked_everywhere(scene: Scene) -> Iterator[Diagnostic]:
    """Semantics 4.13: only a host endpoint of one interface judges before connections are known."""
    for draft in scene.drafts:
        if not draft.policy.do_not_track:
            continue
        for position in positions_of(draft.governed(scene.population)):
            endpoint = scene.population.subjects[position].endpoint
            if isinstance(endpoint, HostEndpoint) and endpoint.interface_name == EVERY_INTERFACE:
                message = f"doNotTrack is ignored on {title(endpoint)}, which names no interface"
                hint = "select host endpoints that name their interface"
                yield warning("W070", draft.policy, "spec.doNotTrack", message, hint)
