"""The same selector over other label names."""

from calicod.selector.parser import parse
from calicod.selector.rename import prefixed


def test_every_label_gets_the_prefix_and_nothing_else_changes():
    text = (
        "(!a == 'a' || b in {'b', 'c'} && c not in {'d'} && has(d)) && e contains 'e' && f starts with 'f' "
        "&& g ends with 'g' && h != 'h' && all() && global()"
    )

    renamed = prefixed(parse(text), "pcns.")

    assert renamed == parse(
        "(!pcns.a == 'a' || pcns.b in {'b', 'c'} && pcns.c not in {'d'} && has(pcns.d)) && pcns.e contains 'e' "
        "&& pcns.f starts with 'f' && pcns.g ends with 'g' && pcns.h != 'h' && all() && global()"
    )
