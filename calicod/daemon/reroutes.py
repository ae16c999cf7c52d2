"""A workload's address that is routed elsewhere, or whose workload is gone: its live flows are judged again.

Law: what was allowed on one way is not trusted on another, nor what a workload was allowed by whoever has its interface
now. Only flows from and to that address lose their stamps, also where a change of policy spares live flows. A move is
looked at a second time, for packets that were under way.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

import structlog

from calicod.daemon.farewell import FindRoute
from calicod.errors import CalicodError
from calicod.model.marks import MarkLayout
from calicod.netfilter import conntrack
from calicod.netfilter.flow import Flow
from calicod.netfilter.reroutes import Change, Watcher
from calicod.netfilter.routes import Route, Routes
from calicod.ruleset.program import LocalEndpoint, RuleSet

log = structlog.get_logger()

SETTLE_SECONDS = 0.03
AGAIN_SECONDS = 1.0
"""A packet that waited in a queue while its route changed may have got its stamp since."""

Unstamp = Callable[[frozenset[bytes]], int]
Found = TypeVar("Found")


class Whereabouts:
    """Where each address of a workload was routed when it was last looked at."""

    def __init__(self) -> None:
        self.known: dict[bytes, Route | None] = {}

    def learn(self, addresses: Iterable[bytes], find: FindRoute) -> None:
        """Looks where new addresses are; keeps what is known of the others, so that no change between is missed."""
        self.known = {
            address: self.known[address] if address in self.known else find(address, b"", 0) for address in addresses
        }

    def moved(self, changes: Iterable[Change], find: FindRoute) -> frozenset[bytes]:
        """The addresses that are elsewhere now, or may be for some packets: other tables are not asked for all."""
        told = tuple(changes)
        found = set()
        for address, before in self.known.items():
            concerning = [change for change in told if change.concerns(address)]
            if not concerning:
                continue
            now = find(address, b"", 0)
            self.known[address] = now
            if now != before or not all(change.usual for change in concerning):
                found.add(address)
        return frozenset(found)


class Reroutes:
    """Watches routes from when it is made; `run` acts on them."""

    def __init__(self, marks: MarkLayout, unstamp: Unstamp | None = None) -> None:
        self.watcher = Watcher()
        self.whereabouts = Whereabouts()
        self._unstamp = unstamp or (lambda addresses: unstamp_flows(conntrack.dump(), addresses, marks))

    def learn(self, ruleset: RuleSet) -> None:
        """Before this policy comes into force."""
        addresses = [address for workload in ruleset.workloads for address in workload.addresses]
        with_routes(lambda find: self.whereabouts.learn(addresses, find))

    async def leave(self, addresses: frozenset[bytes]) -> None:
        """What `departed` named, once the new policy is in force."""
        if addresses:
            await self._judge_again(addresses)

    async def run(self) -> None:
        """Until it is cancelled."""
        loop, due = asyncio.get_running_loop(), asyncio.Event()
        again: set[bytes] = set()

        def once_more(addresses: frozenset[bytes]) -> None:
            again.update(addresses)
            due.set()

        loop.add_reader(self.watcher.fileno(), due.set)
        try:
            while True:
                await due.wait()
                await asyncio.sleep(SETTLE_SECONDS)
                moved, former = self._moved(), frozenset(again)
                again.clear()
                due.clear()
                if moved or former:
                    await self._judge_again(moved | former)
                if moved:
                    loop.call_later(AGAIN_SECONDS, once_more, moved)
        finally:
            loop.remove_reader(self.watcher.fileno())

    def _moved(self) -> frozenset[bytes]:
        changes = self.watcher.changes()
        return with_routes(lambda find: self.whereabouts.moved(changes, find)) if changes else frozenset()

    async def _judge_again(self, addresses: frozenset[bytes]) -> None:
        try:
            flows = await asyncio.to_thread(self._unstamp, addresses)
        except (CalicodError, OSError) as failure:
            log.error("flows.unjudged", error=str(failure))  # noqa: TRY400  the place in our code is of no use
        else:
            log.info("routes.moved", addresses=len(addresses), flows=flows)


def departed(before: RuleSet, now: RuleSet) -> frozenset[bytes]:
    """Addresses of the workloads that are no more, or are down (semantics 4.5)."""
    left = {owner(workload) for workload in now.workloads if workload.active}
    gone = (workload for workload in before.workloads if workload.active and owner(workload) not in left)
    return frozenset(address for workload in gone for address in workload.addresses)


def owner(workload: LocalEndpoint) -> tuple[str, str, str]:
    """Who has an interface."""
    return workload.namespace, workload.name, workload.interface


def with_routes(ask: Callable[[FindRoute], Found]) -> Found:
    """What `ask` makes of the kernel's routes as they are now."""
    routes = Routes()
    try:
        return ask(routes.find)
    finally:
        routes.close()


def unstamp_flows(flows: Iterable[Flow], addresses: frozenset[bytes], marks: MarkLayout) -> int:
    """Flows from and to these addresses count as judged earlier, and no more; how many. Raises OSError."""
    stages = marks.filter_stage | marks.prednat_stage
    concerned = [
        flow for flow in flows if flow.mark & stages and (flow.original.src in addresses or flow.reply.src in addresses)
    ]
    return conntrack.set_marks(concerned, marks.judged, marks.connection_mask)
