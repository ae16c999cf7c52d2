"""`calicod teardown`: every rule, chain and stamp of ours goes, whether or not the daemon still runs.

Law: nothing of others is touched, and nothing of a daemon in another network namespace. The daemon ends first, since it
would put its rules back; none can begin while they are removed.
"""

import fcntl
import os
import signal
import time
from pathlib import Path

import click
import msgspec

from calicod.errors import CalicodError, PolicyError

PATIENCE_SECONDS = 25.0
"""The keeper gives its supervisor 20 s."""
POLL_SECONDS = 0.05


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """What was done. `stopped`: the daemon's process; `rules`: where there were some; `stamps`: connections cleared."""

    stopped: int | None
    rules: tuple[str, ...]
    stamps: int


@click.command("teardown")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="The daemon's configuration: for its run directory and its marks. Default: /etc/calicod/calicod.yaml.",
)
@click.option("--json", "as_json", is_flag=True, help="What was removed, as JSON.")
def command(*, config: Path | None, as_json: bool) -> None:
    """Remove every rule, set and mark of calicod's in this network namespace, and nothing else.

    A daemon that still runs is stopped first; rules saved for the next boot go too. Connections live on, unjudged. Of
    iptables' nft variant empty tables stay, since to delete a base chain drops every packet that waits in any queue; a
    table of calicod's own (`steering: nft`) goes all the same. Exit: 0 done, 1 the configuration has errors or the
    daemon cannot be stopped, 4 the kernel or a permission is missing.

    \b
    Example:
      calicod teardown --config /etc/calicod/calicod.yaml
    """
    from calicod.daemon.settings import load_settings

    try:
        settings = load_settings(config)
        removed = tear_down(settings.run_directory, settings.marks.connection_mask, settings.state_directory)
    except PolicyError as error:
        click.echo(str(error), err=True)
        raise SystemExit(1) from error
    except CalicodError as error:
        click.echo(str(error), err=True)
        raise SystemExit(error.exit_code) from error
    click.echo(msgspec.json.encode(removed).decode() if as_json else "\n".join(lines(removed)))


def lines(removed: Removed) -> list[str]:
    """What was done, for people."""
    return [
        f"stopped the daemon, process {removed.stopped}" if removed.stopped else "no daemon was running",
        f"removed the rules of {', '.join(removed.rules)}" if removed.rules else "there were no rules of calicod's",
        f"cleared the marks of {removed.stamps} connections",
    ]


def tear_down(run_directory: Path, connection_mask: int, state_directory: Path) -> Removed:
    """Stops, removes, clears, in this order. Raises CalicodError."""
    from calicod.daemon import boot
    from calicod.daemon.enforcer import STEERED_FILE
    from calicod.daemon.instance import ENFORCEMENT_FILE
    from calicod.netfilter import conntrack, probe

    probe.require_capability()
    lock, stopped = stop(run_directory)
    try:
        rules = probe.where_ours()
        probe.remove_everything()
        stamps = conntrack.clear_all(connection_mask)
        for name in (ENFORCEMENT_FILE, STEERED_FILE):
            (run_directory / name).unlink(missing_ok=True)
        boot.forget(state_directory)
    finally:
        if lock is not None:
            os.close(lock)
    return Removed(stopped=stopped, rules=rules, stamps=stamps)


def stop(run_directory: Path) -> tuple[int | None, int | None]:
    """Ends the daemon of this run directory; its lock, now ours, and its process. Raises CalicodError."""
    from calicod.daemon.instance import LOCK_FILE

    try:
        lock = os.open(run_directory / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None, None
    if taken(lock):
        return lock, None
    pid = int(os.read(lock, 32).strip() or 0)
    if not pid or elsewhere(pid):
        os.close(lock)
        raise CalicodError(
            "K061",
            f"the daemon of {run_directory}, process {pid or 'unknown'}, works in another network namespace",
            hint=f"run this there: `nsenter --target {pid or 'PID'} --net calicod teardown`",
        )
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not taken(lock):
        if time.monotonic() >= deadline:
            os.close(lock)
            raise CalicodError(
                "K062",
                f"the daemon, process {pid}, did not end within {PATIENCE_SECONDS:.0f} s",
                hint=f"`kill -9 {pid}`, then run this again",
            )
        time.sleep(POLL_SECONDS)
    return lock, pid


def taken(lock: int) -> bool:
    """Whether the lock is ours now."""
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def elsewhere(pid: int) -> bool:
    """Whether that process has another network namespace than this one."""
    try:
        return not Path(f"/proc/{pid}/ns/net").samefile("/proc/self/ns/net")
    except FileNotFoundError:  # it has just ended
        return False
