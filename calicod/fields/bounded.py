"""What is remembered of what was sent: never more than a number of things.

Law: forgetting changes no answer, and no sender can make a memory grow beyond its limit.
"""

from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Bounded(dict[Key, Value]):
    """A dict that is filled by `keep` alone, and forgets everything rather than hold more than `limit` things.

    >>> memory = Bounded[str, int](2)
    >>> [memory.keep(name, len(name)) for name in ("a", "bc", "def")], dict(memory)
    ([1, 2, 3], {'def': 3})
    """

    __slots__ = ("limit",)

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def keep(self, key: Key, value: Value) -> Value:
        """Remembers the value, and returns it."""
        if len(self) >= self.limit:
            self.clear()
        self[key] = value
        return value
