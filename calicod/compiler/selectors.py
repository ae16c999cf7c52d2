"""The selectors that policies and rules really have, once namespaces and service accounts are woven in.

Law: assembled as trees, never as text (semantics 2.10, 3.6), so operators cannot bind across parts. Only the written
`all()` is replaced: Calico's replacement inside quoted values has no effect, since no label value can hold `all()`.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from calicod.resources.kinds import EntityRule, Policy, ServiceAccountMatch
from calicod.selector.rename import prefixed
from calicod.selector.tree import All, And, Equals, Global, Has, In, Not, Or, Selector

NAMESPACE = "projectcalico.org/namespace"
ORCHESTRATOR = "projectcalico.org/orchestrator"
SERVICE_ACCOUNT = "projectcalico.org/serviceaccount"
NAMESPACE_PREFIX = "pcns."
SERVICE_ACCOUNT_PREFIX = "pcsa."

EVERYTHING = All()
NAMESPACED = Has(NAMESPACE)
GLOBAL = Not(NAMESPACED)


def policy_selector(policy: Policy) -> Selector:
    """What decides which endpoints a policy governs (semantics 3.6)."""
    if policy.metadata.namespace:
        return _of_namespaced(policy) or EVERYTHING
    return _of_global(policy) or EVERYTHING


def _of_namespaced(policy: Policy) -> Selector | None:
    accounts = policy.service_account_selector
    return conjunction(
        (
            policy.selector,
            Equals(NAMESPACE, policy.metadata.namespace),
            None if accounts is None else prefixed(accounts, SERVICE_ACCOUNT_PREFIX),
        )
    )


def _of_global(policy: Policy) -> Selector | None:
    """`all()` anywhere in what is there so far becomes a test that host endpoints fail, by each part that is added."""
    selector = policy.selector
    for part, prefix, bearer in (
        (policy.namespace_selector, NAMESPACE_PREFIX, NAMESPACED),
        (policy.service_account_selector, SERVICE_ACCOUNT_PREFIX, Has(SERVICE_ACCOUNT)),
    ):
        if part is not None:
            joined = conjunction((selector, prefixed(part, prefix)))
            selector = joined and replaced(joined, every=bearer)
    return selector


def sides(entity: EntityRule, namespace: str) -> tuple[Selector | None, Selector | None]:
    """The positive and the negative selector of one side of a rule (semantics 2.9 to 2.11); None: no criterion.

    `namespace` is the policy's, "" for global kinds. A negative selector beside a positive one is folded into it.
    """
    chosen = conjunction((*service_accounts(entity.service_accounts), entity.selector))
    scope: Selector | None = None
    if entity.namespace_selector is not None:
        own = prefixed(entity.namespace_selector, NAMESPACE_PREFIX)
        scope = replaced(own, every=NAMESPACED, outside=GLOBAL)
    elif namespace and (chosen is not None or entity.not_selector is not None):
        scope = Equals(NAMESPACE, namespace)
    positive = conjunction((scope, chosen))
    if positive is not None and entity.not_selector is not None:
        return And((positive, negated(entity.not_selector))), None
    return positive, entity.not_selector


def service_accounts(match: ServiceAccountMatch | None) -> tuple[Selector | None, Selector | None]:
    """The names and the selector of `serviceAccounts`, as selectors over endpoints (semantics 2.11)."""
    if match is None:
        return None, None
    names = In(SERVICE_ACCOUNT, tuple(sorted(set(match.names)))) if match.names else None
    return names, None if match.selector is None else prefixed(match.selector, SERVICE_ACCOUNT_PREFIX)


def conjunction(parts: Iterable[Selector | None]) -> Selector | None:
    """All parts that are there, as one tree; None when there is none."""
    present = tuple(part for part in parts if part is not None)
    if len(present) > 1:
        return And(present)
    return present[0] if present else None


def negated(selector: Selector) -> Selector:
    """`!selector`, with a double negation folded as the parser does."""
    return selector.operand if isinstance(selector, Not) else Not(selector)


def replaced(selector: Selector, *, every: Selector, outside: Selector | None = None) -> Selector:
    """`every` in the place of each `all()`, and `outside`, if given, in that of each `global()`."""
    match selector:
        case All():
            return every
        case Global():
            return outside or selector
        case Not(operand):
            return negated(replaced(operand, every=every, outside=outside))
        case And(operands) | Or(operands):
            return replace(
                selector, operands=tuple(replaced(operand, every=every, outside=outside) for operand in operands)
            )
        case _:
            return selector
