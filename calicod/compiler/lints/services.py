"""Rules that name services of which nothing is known (semantics 2.12).

Law: told of what was asked for: a policy that governs nobody here asks for nothing.
"""

from collections.abc import Iterator

from calicod.compiler.lints.finding import warning
from calicod.compiler.lints.rules import directions
from calicod.compiler.lints.scene import Scene
from calicod.errors import Diagnostic
from calicod.resources.kinds import Policy, Rule

SIDES = ("source", "destination")


def services_without_slices(scene: Scene) -> Iterator[Diagnostic]:
    """Such a rule never matches; the Service itself does not help."""
    missing = scene.population.members.without_slices
    for draft in scene.drafts if missing else ():
        if draft.governed(scene.population):
            for direction, governs, rules in directions(draft.policy):
                for index, rule in enumerate(rules if governs else ()):
                    yield from _of_rule(draft.policy, rule, f"spec.{direction}[{index}]", missing)


def _of_rule(policy: Policy, rule: Rule, path: str, missing: set[tuple[str, str]]) -> Iterator[Diagnostic]:
    for side in SIDES:
        service = getattr(rule, side).services
        namespace = (service and service.namespace) or policy.metadata.namespace
        if service and (namespace, service.name) in missing:
            message = f"service {namespace}/{service.name} has no EndpointSlice: the rule never matches"
            hint = "add the EndpointSlices of the service, or correct its name"
            yield warning("W083", policy, f"{path}.{side}.services", message, hint, rule.place)
