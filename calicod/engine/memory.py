"""What one engine remembers of the packets that it judged.

Law: never more than a number of things, whatever is sent. What a key knows by identity is kept with its value, so that
no id is used again.
"""

from calicod.engine.result import Result
from calicod.fields.bounded import Bounded
from calicod.model.decision import Decision

MAX_CLASSES = 65536
"""Combinations of classes that one engine remembers: 16 MB."""
MAX_WAYS = 16384
"""Results and Decisions, each, that one engine remembers: 15 MB."""


class Memory:
    """Numbers of runners and judges keep their keys apart.

    `results` by classes, one for each field that the runner's rules use, `twins` the same where there are staged
    policies; `ways` by the entries taken. `made` by the identities of results, `joined` and `foretold` by those of
    decisions. `room`: how many times as much as usual, for whoever judges a whole cluster and nobody else's packets.
    """

    def __init__(self, room: int = 1) -> None:
        self.results: Bounded[tuple[int, ...], Result] = Bounded(room * MAX_CLASSES)
        self.twins: Bounded[tuple[int, ...], tuple[Result, Result]] = Bounded(room * MAX_CLASSES)
        self.ways: Bounded[tuple[int, tuple[int, ...]], Result] = Bounded(room * MAX_WAYS)
        self.made: Bounded[tuple[int, ...], tuple[Decision, tuple[Result, ...]]] = Bounded(room * MAX_WAYS)
        self.joined: Bounded[tuple[int, int], tuple[Decision, Decision, Decision]] = Bounded(room * MAX_WAYS)
        self.foretold: Bounded[tuple[int, int], tuple[Decision, Decision, Decision]] = Bounded(room * MAX_WAYS)
