"""What the control socket answers, from what the supervisor knows.

Law: an answer is a look, never a change; only `reload` asks for one, and waits for it.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from calicod.daemon import live, views
from calicod.daemon.health import HEALTHY, STOPPING
from calicod.daemon.proposal import Outcome, Proposal, Prospect, Refusal
from calicod.daemon.prospect import Question, look
from calicod.daemon.state import EndpointState, PolicyState, Status
from calicod.errors import CalicodError
from calicod.ruleset.enforcement import encode

if TYPE_CHECKING:
    from calicod.daemon.control import Handlers
    from calicod.daemon.supervisor import Supervisor


class Answers:
    """The handlers of one supervisor."""

    def __init__(self, supervisor: "Supervisor") -> None:
        self.supervisor = supervisor

    def handlers(self) -> "Handlers":
        """For the control socket."""
        # Not above: whoever takes over would wait for aiohttp.
        from calicod.daemon.control import Handlers

        reporter = self.supervisor.reporter
        return Handlers(
            status=self.status,
            endpoints=self.endpoints,
            policies=self.policies,
            flows=self.flows,
            enforcement=self.enforcement,
            reload=self.reload,
            prospect=self.prospect,
            apply=self.apply,
            confirm=self.confirm,
            rollback=self.rollback,
            recent=reporter.recent,
            follow=reporter.follow,
        )

    def status(self) -> Status:
        """Healthy or not, and every number that may say why."""
        s = self.supervisor
        s.judge_health()
        reading = s.reading
        state = STOPPING if s.stopping.is_set() else s.health.state
        return Status(
            healthy=state == HEALTHY,
            state=state,
            reasons=s.health.reasons,
            node=s.settings.node_name,
            pid=os.getppid(),
            supervisor_pid=os.getpid(),
            uptime_seconds=round(time.monotonic() - s.began, 1),
            revision=s.enforcer.revision,
            generation=s.enforcer.generation,
            resources=reading.resources if reading else 0,
            endpoints=len(s.endpoints),
            steering=s.installer.name,
            failure_mode=s.settings.failure_mode,
            workers=tuple(s.workers.states.values()),
            queues=tuple(s.guard.queues.values()),
            drops=dict(s.guard.total_drops),
            rejected=reading.rejected if reading else (),
            warnings=reading.warnings if reading else (),
            notices=(*s.notices, *s.cautions),
            events_written=s.reporter.written,
            events_lost=s.reporter.lost,
            trial=s.trials.state(),
        )

    def endpoints(self) -> tuple[EndpointState, ...]:
        """Every endpoint of this node."""
        return self.supervisor.endpoints

    def policies(self) -> tuple[PolicyState, ...]:
        """Every policy that is enforced, with its hits."""
        enforcement = self.supervisor.enforcer.enforcement
        return views.policy_states(enforcement.ruleset, self.supervisor.reporter.hits) if enforcement else ()

    def flows(self) -> Iterator[bytes]:
        """Every live allowed flow, as JSON Lines in chunks; blocks."""
        enforcer = self.supervisor.enforcer
        if enforcer.enforcement is None or enforcer.steering is None:
            return iter(())
        return live.lines(enforcer.enforcement, enforcer.steering, self.supervisor.settings.node_name)

    def enforcement(self) -> bytes:
        """What is enforced, as workers read it; nothing before there is any."""
        held = self.supervisor.enforcer.enforcement
        return b"" if held is None else encode(held)

    async def reload(self) -> object:
        """Reads all sources again; returns when every worker enforces the result."""
        return replace(await self.supervisor.reload(), trial=self.supervisor.trials.state())

    async def prospect(self, proposal: Proposal) -> Prospect:
        """What a set would change, live flows first; nothing is changed."""
        try:
            return await self._prospect(proposal)
        except CalicodError as error:
            return Prospect(refusal=Refusal.of(error))

    async def _prospect(self, proposal: Proposal) -> Prospect:
        s = self.supervisor
        texts = s.trials.placed(proposal.documents)
        reading = await asyncio.to_thread(s.sources.propose, texts)
        if reading.rejected:
            return Prospect(rejected=reading.rejected)
        now, steering = s.enforcer.enforcement, s.enforcer.steering
        if now is None or steering is None:
            raise CalicodError("K054", "the daemon enforces nothing yet", hint="`calicod status --wait 10`")
        coming = reading.ruleset
        question = Question(
            now=now,
            steering=steering,
            coming=coming,
            node=s.settings.node_name,
            session=proposal.session,
            spared=s.enforcer.spares(coming),
        )
        found = await asyncio.to_thread(look, question)
        endpoints = len(coming.workloads) + len(coming.hosts)
        files = tuple(text.path for text in texts)
        resets = s.settings.cut_with_reset
        return replace(found, resources=reading.resources, endpoints=endpoints, files=files, resets=resets)

    async def apply(self, proposal: Proposal) -> Outcome:
        """Puts a set in place of the policy files."""
        return await outcome(self.supervisor.trials.apply(proposal.documents, proposal.confirm_within))

    async def confirm(self) -> Outcome:
        """Keeps the set on trial."""
        return await outcome(self.supervisor.trials.confirm())

    async def rollback(self) -> Outcome:
        """Brings back what was before."""
        return await outcome(self.supervisor.trials.rollback())


async def outcome(action: Awaitable[Outcome]) -> Outcome:
    """What came of it, or why nothing was done."""
    try:
        return await action
    except CalicodError as error:
        return Outcome(refusal=Refusal.of(error))
