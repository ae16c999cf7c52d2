"""What the control socket answers, from what the supervisor knows.

Law: an answer is a look, never a change; only `reload` asks for one, and waits for it.
"""

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from calicod.daemon import live, views
from calicod.daemon.control import Handlers
from calicod.daemon.health import HEALTHY, STOPPING
from calicod.daemon.state import EndpointState, PolicyState, Status
from calicod.ruleset.enforcement import encode

if TYPE_CHECKING:
    from calicod.daemon.supervisor import Supervisor


class Answers:
    """The handlers of one supervisor."""

    def __init__(self, supervisor: "Supervisor") -> None:
        self.supervisor = supervisor

    def handlers(self) -> Handlers:
        """For the control socket."""
        reporter = self.supervisor.reporter
        return Handlers(
            status=self.status,
            endpoints=self.endpoints,
            policies=self.policies,
            flows=self.flows,
            enforcement=self.enforcement,
            reload=self.reload,
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
        return await self.supervisor.changes.ask_and_wait(reread=True)
