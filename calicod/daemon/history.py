"""What was told last of each live flow, on each path that it takes through this host.

Law: a flow may pass this host twice (design 6, second passage): each path has its own decision and is compared with
itself only. The start of the flow is one, and a later flow of the same ends has nothing to do with it.
"""

from collections.abc import Iterable

from calicod.daemon.flows import FLOW_LIMIT, TEMPLATE_BITS, TEMPLATE_LIMIT, UNKNOWN, Memory, pack, unpack
from calicod.daemon.templates import Template, Templates

PASSAGE_LIMIT = 16_384


class History:
    """Flows by key (`flows.Memory`), the second and further paths of a flow beside them."""

    def __init__(self, flow_limit: int = FLOW_LIMIT, passage_limit: int = PASSAGE_LIMIT) -> None:
        self._flows = Memory(flow_limit)
        self.meet_flow = self._flows.add
        """As `meet`, with what `flows.pack` makes of second and template: the hot path."""
        self.meet_flows = self._flows.add_all
        """As `meet_flow` for many that are all new; False, and none is remembered: they are not."""
        self._new = 0
        self._passages = Memory(passage_limit)
        self.templates = Templates(self._in_use)

    def start(self, key: int) -> int | None:
        """The second in which the flow began, UNKNOWN, or None when nothing is known of it."""
        flow = self._flows.get(key)
        return None if flow is None else flow >> TEMPLATE_BITS

    def begin(self, key: int, second: int, template: Template | None) -> None:
        """A new flow, or one of a former supervisor (no template)."""
        self._flows.put(key, pack(second, UNKNOWN if template is None else template.id))

    def meet(self, key: int, second: int, template: Template) -> int | None:
        """`begin` for a flow of which nothing is known; the start of one that is, or UNKNOWN."""
        new = second << TEMPLATE_BITS | template.id
        if new == self._new:
            new = self._new  # the same integer for all of them: 5 MB in a full memory
        else:
            self._new = new
        flow = self._flows.add(key, new)
        return None if flow is None else flow >> TEMPLATE_BITS

    def before(self, key: int, template: Template) -> tuple[bool, Template | None]:
        """Was the flow judged before on this template's path, and by what (None: not known)."""
        flow = self._flows.get(key)
        if flow is None:
            return True, None
        start, number = unpack(flow)
        first = self.templates.get(number)
        if first is None or first.path == template.path:
            return True, first
        passage = self._passages.get(hash((key, start, template.path)))
        return passage is not None, None if passage is None else self.templates.get(passage)

    def judge(self, key: int, template: Template) -> None:
        """Remembers this as the decision on its path. A flow of which nothing is known keeps an unknown start."""
        flow = self._flows.get(key)
        start, number = (UNKNOWN, UNKNOWN) if flow is None else unpack(flow)
        first = self.templates.get(number)
        if first is None or first.path == template.path:
            self._flows.put(key, pack(start, template.id))
        else:
            self._passages.put(hash((key, start, template.path)), template.id)

    def end(self, key: int) -> tuple[int, Template | None]:
        """Forgets a flow: its start (UNKNOWN if nothing is known of it) and its last decision on the first path."""
        flow = self._flows.pop(key)
        if flow is None:
            return UNKNOWN, None
        return flow >> TEMPLATE_BITS, self.templates.get(flow & TEMPLATE_LIMIT)

    def take_forgotten(self) -> int:
        """How many flows and passages were forgotten for want of room since the last call."""
        return self._flows.take_forgotten() + self._passages.take_forgotten()

    def _in_use(self) -> Iterable[int]:
        yield from (flow & TEMPLATE_LIMIT for flow in self._flows.values())
        yield from self._passages.values()
