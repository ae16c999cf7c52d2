"""Policy generations: which number the next change of policy gets.

Law: a generation is used again only after no connection bears it, and 0 is never one: a connection without a stamp
reads as generation 0.
"""

from calicod.model.marks import MarkLayout


def last_generation(marks: MarkLayout) -> int:
    """The highest number that the generation's bits hold."""
    return (1 << marks.generation.bit_count()) - 1


def next_generation(current: int | None, marks: MarkLayout) -> int:
    """The number after `current`, wrapping round past the last one to 1; 1 when there is none yet.

    >>> from calicod.model.marks import layout
    >>> next_generation(None, layout()), next_generation(7, layout()), next_generation(511, layout())
    (1, 8, 1)
    """
    if current is None or current >= last_generation(marks):
        return 1
    return current + 1
