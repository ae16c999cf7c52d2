"""The same selector over other label names.

Law: only labels change; values, operators and the shape of the tree do not.
"""

from msgspec.structs import replace

from calicod.selector.tree import All, And, Global, Not, Or, Selector


def prefixed(selector: Selector, prefix: str) -> Selector:
    """Every label with `prefix` before it: how a namespaceSelector becomes one over `pcns.` labels (semantics 2.10).

    >>> from calicod.selector.parser import parse
    >>> str(prefixed(parse("a == 'x' && has(b)"), "pcns."))
    '(pcns.a == "x" && has(pcns.b))'
    """
    match selector:
        case All() | Global():
            return selector
        case Not(operand):
            return Not(prefixed(operand, prefix))
        case And(operands) | Or(operands):
            return replace(selector, operands=tuple(prefixed(operand, prefix) for operand in operands))
        case _:
            return replace(selector, label=prefix + selector.label)
