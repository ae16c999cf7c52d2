"""`calicod status`: is the daemon healthy, and if not, why."""

import time

import click
import msgspec

from calicod.cli.client import Unreachable, asked, socket_option
from calicod.daemon.state import Status, TrialState, WorkerState
from calicod.eventlog.readable import printable

POLL_SECONDS = 0.1
LEAST_SECONDS = 1.0
"""How long one answer is waited for, however soon the waiting ends."""


@click.command("status")
@click.option("--wait", type=click.FloatRange(min=0), default=None, metavar="SECONDS", help="Wait until it is healthy.")
@click.option("--json", "as_json", is_flag=True, help="The whole answer as JSON.")
@socket_option
def command(*, wait: float | None, as_json: bool, socket: str) -> None:
    """Healthy or not and why; revision, workers, queues, drops, rejected resources.

    Exit: 0 healthy, 1 not healthy, 3 the daemon cannot be reached.

    \b
    Example:
      calicod status --wait 10
    """
    deadline = time.monotonic() + (wait or 0)
    while True:
        try:
            patience = None if wait is None else max(LEAST_SECONDS, deadline - time.monotonic())
            status = asked(socket, "/status", Status, patience=patience)
        except Unreachable as error:
            if time.monotonic() >= deadline:
                click.echo(str(error), err=True)
                raise SystemExit(3) from error
        else:
            if status.healthy or time.monotonic() >= deadline:
                break
        time.sleep(POLL_SECONDS)
    for line in (msgspec.json.encode(status).decode(),) if as_json else shown(status):
        click.echo(line)
    raise SystemExit(0 if status.healthy else 1)


def shown(status: Status) -> list[str]:
    """The answer as a terminal may be given it; reasons and findings have hints on lines of their own."""
    return [printable(line) for entry in lines(status) for line in entry.split("\n")]


def lines(status: Status) -> list[str]:
    """The answer for people."""
    title = f"{status.state}: node {status.node}, revision {status.revision}, generation {status.generation}"
    out = [f"{title}, {status.resources} resources, {status.endpoints} endpoints here"]
    out += [f"  because: {reason}" for reason in status.reasons]
    out.append(
        f"steering {status.steering}, failure mode {status.failure_mode}, "
        f"up {status.uptime_seconds:.0f} s, keeper {status.pid}, supervisor {status.supervisor_pid}"
    )
    out += trial(status.trial)
    out += [worker(state) for state in status.workers]
    out += [
        f"queue {q.queue}: {q.waiting} waiting, dropped {q.queue_dropped} full, {q.user_dropped} socket"
        for q in status.queues
    ]
    out += [f"dropped by the kernel as {reason}: {count}" for reason, count in sorted(status.drops.items())]
    out.append(f"events written {status.events_written}, lost {status.events_lost}")
    out += [f"rejected: {d}" for d in status.rejected]
    out += [str(d) for d in status.warnings]
    out += [f"note: {notice}" for notice in status.notices]
    return out


def trial(state: TrialState | None) -> list[str]:
    """A set that is in force in place of the policy files, for people."""
    if state is None:
        return []
    if state.seconds_left is None:
        return [f"a set of {len(state.files)} files is confirmed, and not among the policy files yet"]
    left = f"{state.seconds_left:.0f} s left"
    out = [f"on trial: a set of {len(state.files)} files, {left}; `calicod confirm` keeps it, else it rolls back"]
    return out + [f"  changed meanwhile, not in force: {path}" for path in state.edited]


def worker(state: WorkerState) -> str:
    """One worker for people."""
    return (
        f"worker {state.worker}: pid {state.pid}, revision {state.revision}, judged {state.judged}, "
        f"denied {state.denied}, malformed {state.malformed}, failed {state.failed}, "
        f"records lost {state.records_lost}, replaced {state.replaced} times"
    )
