"""Checks of what is around: configuration, policy files, the daemon, its unit, disk and clock.

Law: a daemon that runs is asked, never disturbed.
"""

from calicod.cli.doctor.facts import Facts
from calicod.cli.doctor.finding import Finding, fail, ok, warn
from calicod.daemon.health import counted, summary
from calicod.eventlog.file import FileSettings

LEAST = 64 << 20
"""Bytes that a directory should have left."""
MEGABYTE = 1 << 20


def configuration(facts: Facts) -> tuple[Finding, ...]:
    """The configuration file."""
    if facts.misconfigured:
        mend = "mend the file; the checks below took the defaults"
        return (fail(facts.misconfigured.replace("\n", "; "), mend),)
    return (ok(f"valid, node {facts.settings.node_name}"),)


def policies(facts: Facts) -> tuple[Finding, ...]:
    """Whether everything that is written can be enforced."""
    if facts.rejected:
        message = f"{counted(facts.rejected)}: {summary(facts.rejected)}"
        paths = " ".join(map(str, facts.settings.policy_paths))
        return (warn(message.replace("\n", "; "), f"`calicod validate {paths}` tells all"),)
    return (ok(f"{len(facts.ruleset.policies)} policies and profiles can be enforced"),)


def daemon(facts: Facts) -> tuple[Finding, ...]:
    """The daemon of this run directory."""
    running = facts.daemon
    if running is None:
        return (ok("is not running"),)
    where = f"process {running.pid}"
    if running.elsewhere:
        mend = "give this one a `run_directory` of its own"
        return (fail(f"{where} of another network namespace holds {facts.settings.run_directory}", mend),)
    if running.status is None:
        return (fail(f"{where} does not answer: {running.silence}", "look into its log, or restart it"),)
    if running.status.healthy:
        return (ok(f"{where} is healthy, revision {running.status.revision}"),)
    return tuple(
        warn(f"{where} is {running.status.state}: {why}", "`calicod status`") for why in running.status.reasons
    )


def unit(facts: Facts) -> tuple[Finding, ...]:
    """Whether the daemon comes back after a reboot."""
    if not facts.host.systemd:
        return (ok("systemd does not run here"),)
    if not facts.host.service.installed:
        return (warn("calicod.service is not installed: nothing starts the daemon", "`make install`"),)
    if not facts.host.service.enabled:
        return (warn("calicod.service is not enabled: not there after a reboot", "`systemctl enable --now calicod`"),)
    return (ok("calicod.service is started at boot"),)


def boot(facts: Facts) -> tuple[Finding, ...]:
    """Whether anything is closed between boot and the daemon."""
    host = facts.host
    if not (host.systemd and host.service.enabled):
        return (ok("the daemon is not started at boot"),)
    if not (host.boot.installed and host.boot.enabled):
        mend = "`systemctl enable calicod-boot`" if host.boot.installed else "`make install`"
        return (warn("managed interfaces are open at boot while, or if, the daemon does not start", mend),)
    if not host.saved:
        return (ok("the next boot starts closed, with rules made from the policy files"),)
    shown = "open, as failure_mode says" if facts.settings.fail_open else "closed but for failsafe ports"
    return (ok(f"the next boot starts {shown}, with the rules last in force ({', '.join(host.saved)})"),)


def disk(facts: Facts) -> tuple[Finding, ...]:
    """Room for events and for what is remembered."""
    wanted = {facts.settings.state_directory: LEAST}
    for sink in facts.settings.events:
        if isinstance(sink, FileSettings):
            wanted[sink.path.parent] = max(LEAST, sink.max_bytes)
    short = [
        (path, free) for path, need in wanted.items() if (free := facts.host.free.get(path)) is not None and free < need
    ]
    told = tuple(
        warn(
            f"{path} has {free // MEGABYTE} MiB left: events get lost when it is full",
            "make room, or lower `max_bytes` and `keep` of the sink",
        )
        for path, free in short
    )
    return told or (ok("there is room for events"),)


def clock(facts: Facts) -> tuple[Finding, ...]:
    """Whether the times of events mean anything."""
    if facts.host.now < facts.host.installed_at:
        return (
            warn("the clock is before the day on which calicod was installed", "set it, or start time synchronisation"),
        )
    if facts.host.synchronised is False:
        return (
            warn(
                "the clock is not synchronised: times of events do not compare with other hosts'",
                "start chrony or systemd-timesyncd",
            ),
        )
    return (ok("the clock is plausible"),)
