"""Many packets, few events: repeats of a refusal become one summary, packets of a Log rule are told at a bounded rate.

Law: the packets told and the packets counted add up to the packets that came. Memory is bounded: when there are too
many windows, the oldest ends early. Time comes with the packets and with `due`, and may jump.
"""

from collections import deque

import msgspec

from calicod.daemon.lines import Moment
from calicod.daemon.templates import LogRule

WINDOW_NS = 60_000_000_000
WINDOWS = 32_768
LOG_WINDOW_NS = 1_000_000_000
LOG_LIMIT = 100
"""Events of one Log rule in one second; the rest is counted."""


class Summary(msgspec.Struct, frozen=True):
    """`count` packets like the moment's, the first of the window included; its time is that of the last."""

    event: str
    moment: Moment
    count: int


class Window(msgspec.Struct, gc=False):
    """Began with one event that was told; `count` packets so far."""

    key: int
    event: str
    moment: Moment
    count: int = 1
    last_ns: int = 0


def over(began_ns: int, now_ns: int, window_ns: int) -> bool:
    """The window has ended, or the clock was set back by more than its length."""
    return abs(now_ns - began_ns) >= window_ns


class Folding:
    """Open windows, by flow and rule."""

    def __init__(self, limit: int = WINDOWS) -> None:
        self._limit = limit
        self._open: dict[int, Window] = {}
        self._order: deque[Window] = deque()
        self._due: list[Summary] = []

    def repeat(self, key: int, time_ns: int) -> bool:
        """Counts the packet if its like was told within the window; else it is to be told."""
        window = self._open.get(key)
        if window is None:
            return False
        if over(window.moment.time_ns, time_ns, WINDOW_NS):
            self.end(key)
            return False
        window.count += 1
        window.last_ns = time_ns
        return True

    def begin(self, key: int, event: str, moment: Moment) -> None:
        """What was told now begins a window; its summary will be an `event`."""
        if key in self._open:
            self.end(key)
        while len(self._order) >= self._limit:
            oldest = self._order.popleft()
            if self._open.get(oldest.key) is oldest:
                self.end(oldest.key)
        window = Window(key, event, moment)
        self._open[key] = window
        self._order.append(window)

    def end(self, key: int) -> None:
        """Ends a window now, if there is one."""
        window = self._open.pop(key, None)
        if window is not None and window.count > 1:
            moment = msgspec.structs.replace(window.moment, time_ns=window.last_ns)
            self._due.append(Summary(window.event, moment, window.count))

    def due(self, now_ns: int | None) -> list[Summary]:
        """The summaries of windows that have ended (None: all windows end now)."""
        order = self._order
        while order and (now_ns is None or over(order[0].moment.time_ns, now_ns, WINDOW_NS)):
            window = order.popleft()
            if self._open.get(window.key) is window:
                self.end(window.key)
        due, self._due = self._due, []
        return due


class LogWindow(msgspec.Struct):
    """One second of one Log rule."""

    began_ns: int
    told: int = 0
    suppressed: int = 0
    rule: LogRule | None = None
    moment: Moment | None = None


class LogRate:
    """The windows of Log rules that matched of late."""

    def __init__(self, limit: int = LOG_LIMIT) -> None:
        self._limit = limit
        self._windows: dict[int, LogWindow] = {}
        self._due: list[tuple[LogRule, Moment, int]] = []

    def offer(self, rule: LogRule, moment: Moment) -> bool:
        """True: tell it now. Otherwise it is counted, and the last one of the second is told with that count."""
        window = self._windows.get(rule.rule)
        if window is None or over(window.began_ns, moment.time_ns, LOG_WINDOW_NS):
            self._end(rule.rule)
            window = self._windows[rule.rule] = LogWindow(moment.time_ns)
        if window.told < self._limit:
            window.told += 1
            return True
        window.suppressed += 1
        window.rule, window.moment = rule, moment
        return False

    def due(self, now_ns: int | None) -> list[tuple[LogRule, Moment, int]]:
        """The last packet of each second that had too many, and how many before it were kept back."""
        over_now = [k for k, w in self._windows.items() if now_ns is None or over(w.began_ns, now_ns, LOG_WINDOW_NS)]
        for key in over_now:
            self._end(key)
        due, self._due = self._due, []
        return due

    def _end(self, key: int) -> None:
        window = self._windows.pop(key, None)
        if window is not None and window.rule is not None and window.moment is not None:
            self._due.append((window.rule, window.moment, window.suppressed - 1))
