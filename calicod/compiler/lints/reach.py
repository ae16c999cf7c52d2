"""Selectors that match nobody, or somebody that was not meant.

Law: where the snapshot has no endpoint at all, nobody can know what a selector would match, and nothing is told of it.
"""

from collections.abc import Iterator

from calicod.compiler.labels import positions_of
from calicod.compiler.lints.finding import title, warning
from calicod.compiler.lints.rules import directions
from calicod.compiler.lints.scene import Scene
from calicod.compiler.selectors import NAMESPACE_PREFIX, policy_selector, sides
from calicod.errors import Diagnostic
from calicod.resources.kinds import EntityRule, HostEndpoint, Policy
from calicod.resources.report import printable
from calicod.ruleset.program import CompiledRule
from calicod.selector.rename import prefixed
from calicod.selector.tree import Global, Selector

SIDES = ("source", "destination")
NO_LABELS: dict[str, str] = {}
_HINT = "correct it, or write the endpoints that it means"


def idle_policies(scene: Scene) -> Iterator[Diagnostic]:
    """A policy that no endpoint of any node obeys."""
    if not scene.is_peopled:
        return
    for draft in scene.drafts:
        if not draft.governed(scene.population) and not draft.has_subjects(scene.population):
            written = [name for name, value in _written(draft.policy) if value is not None]
            path = ".".join(["spec", *written[:1]])
            yield warning("W061", draft.policy, path, "no endpoint matches: the policy governs nobody", _HINT)


def _written(policy: Policy) -> tuple[tuple[str, Selector | None], ...]:
    return ("selector", policy.selector), ("namespaceSelector", policy.namespace_selector)


def idle_rules(scene: Scene) -> Iterator[Diagnostic]:
    """A rule of a policy in use whose selector matches no address."""
    sets = scene.ruleset.ip_sets
    empty = {number for number, one in enumerate(sets) if one.text.startswith("selector ") and not (one.v4 or one.v6)}
    if not (empty and scene.is_peopled):
        return
    for draft, compiled in zip(scene.drafts, scene.ruleset.policies, strict=False):
        for direction in ("ingress", "egress"):
            rules: tuple[CompiledRule, ...] = getattr(compiled, direction)
            for rule in rules:
                for side in SIDES:
                    missing = empty.intersection(getattr(rule, f"{side}_sets"))
                    if missing:
                        text = printable(sets[min(missing)].text.removeprefix("selector "))
                        message = f"no endpoint with an address and no network set matches {text}: the rule never does"
                        path = f"spec.{direction}[{rule.index}].{side}"
                        yield warning("W062", draft.policy, path, message, _HINT, rule.place)


def governed_hosts(scene: Scene) -> Iterator[Diagnostic]:
    """Semantics 1.3, 3.6: a host endpoint has no namespace, and what says only "not that one" holds for it."""
    for draft in scene.drafts:
        policy = draft.policy
        if policy.namespace_selector is None or getattr(policy, "apply_on_forward", False):
            continue
        host = _governed_host(scene, draft.governed(scene.population), policy)
        if host is not None:
            text = printable(str(policy.namespace_selector))
            message = f"{text} holds for what has no namespace too: the policy governs {host}"
            yield warning("W065", policy, "spec.namespaceSelector", message, _only_namespaces(policy))


def _governed_host(scene: Scene, governed: int, policy: Policy) -> str | None:
    if scene.snapshot.host_endpoints:
        hosts = governed >> len(scene.population.workloads)
        return title(scene.population.hosts[next(positions_of(hosts))].endpoint) if hosts else None
    return "host endpoints" if policy_selector(policy).matches(NO_LABELS) else None


def _only_namespaces(policy: Policy) -> str:
    return (
        f'to mean workloads only, write "has(projectcalico.org/name) && ({printable(str(policy.namespace_selector))})"'
    )


def matched_hosts(scene: Scene) -> Iterator[Diagnostic]:
    """The same of a rule: the addresses of host endpoints are among those that it matches."""
    hosts = [
        subject
        for subject in scene.population.hosts
        if isinstance(subject.endpoint, HostEndpoint) and subject.endpoint.expected_ips
    ]
    if not hosts:
        return
    for draft in scene.drafts:
        policy = draft.policy
        for direction, governs, rules in directions(policy):
            for index, rule in enumerate(rules if governs else ()):
                for side in SIDES:
                    positive = _without_namespace(getattr(rule, side), policy.metadata.namespace)
                    met = next((host for host in hosts if positive and positive.matches(host.labels)), None)
                    if met is not None:
                        text = printable(str(getattr(rule, side).namespace_selector))
                        message = f"{text} holds for what has no namespace too: the rule matches {title(met.endpoint)}"
                        path = f"spec.{direction}[{index}].{side}.namespaceSelector"
                        yield warning("W065", policy, path, message, None, rule.place)


def _without_namespace(entity: EntityRule, namespace: str) -> Selector | None:
    """The selector of a side whose namespaceSelector holds for what has no namespace; None of any other."""
    written = entity.namespace_selector
    if written is None or isinstance(written, Global) or not prefixed(written, NAMESPACE_PREFIX).matches(NO_LABELS):
        return None
    return sides(entity, namespace)[0]
