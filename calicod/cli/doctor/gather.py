"""From the host to the facts: each edge is asked once.

Law: nothing is changed but for the trial of the installers, which leaves nothing behind and does not happen while a
daemon runs. What cannot be read is a fact, not a failure of this command.
"""

import ctypes
import fcntl
import os
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import calicod
from calicod.cli.client import Unreachable, asked
from calicod.cli.doctor.facts import Choice, Daemon, Facts, Holder, Host, Kernel, Trouble, Unit
from calicod.cli.teardown import elsewhere
from calicod.daemon.boot import FOLDER, written
from calicod.daemon.instance import LOCK_FILE
from calicod.daemon.settings import Settings, host_name, load_settings
from calicod.daemon.state import Status
from calicod.errors import CalicodError, PolicyError
from calicod.eventlog.file import FileSettings
from calicod.intercept import nfqueue
from calicod.intercept.counters import read_counters
from calicod.intercept.owner import find_owner
from calicod.model.interface import Link
from calicod.netfilter import clash, probe
from calicod.netfilter.links import links
from calicod.netfilter.nftables import table_names

PROC = Path("/proc")
NET = PROC / "thread-self" / "net"
UNITS = (Path("/etc/systemd/system"), Path("/usr/lib/systemd/system"), Path("/lib/systemd/system"))
SYSCTLS = (
    *(f"net/netfilter/nf_conntrack_{name}" for name in ("max", "count", "tcp_loose", "acct", "timestamp", "events")),
    *(f"net/bridge/bridge-nf-call-{name}" for name in ("iptables", "ip6tables")),
    "net/ipv4/conf/all/rp_filter",
)
OF_EACH = ("net/ipv4/conf/{}/rp_filter", "net/ipv6/conf/{}/accept_ra", "net/ipv6/conf/{}/forwarding")
LOCK = struct.Struct("hhqqi")
"""`struct flock`: type, whence, start, length, process."""
TIME_ERROR = 5
TIMEX_BYTES = 512
"""More than a `struct timex` takes."""
V6_DEFAULT = "0" * 32
FULL_ROUTE, V4_FLAGS_UP = 10, 0x1


def gather(config: Path | None) -> Facts:
    """All facts. Raises CalicodError (exit code 4) when this process may not look at rules."""
    probe.require_capability()
    settings, misconfigured = configured(config)
    daemon = holder(settings.run_directory)
    present = links()
    policy = written(settings, (link.interface for link in present))
    return Facts(
        settings=settings,
        misconfigured=misconfigured,
        capabilities=capabilities(),
        kernel=kernel(),
        choice=choice(settings, daemon),
        binding=binding(),
        rules=probe.all_saved(),
        tables=table_names(),
        native=clash.find_native(policy.steering),
        queues={number: reader(counters.owner) for number, counters in read_counters().items()},
        links=present,
        sysctls=sysctls(present),
        default_routes=tuple(default_routes()),
        ruleset=policy.ruleset,
        rejected=policy.rejected,
        steering=policy.steering,
        daemon=daemon,
        host=around(settings),
    )


def configured(config: Path | None) -> tuple[Settings, str]:
    """The settings, or the defaults and why not."""
    try:
        return load_settings(config), ""
    except (PolicyError, CalicodError) as error:
        return Settings(node_name=host_name()), str(error)


def capabilities() -> int:
    """The capabilities in force, as bits."""
    for line in (PROC / "self" / "status").read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return int(value, 16)
    return 0


def kernel() -> Kernel:
    """Which kernel this is, and which upstream version it was made from."""
    release = os.uname().release
    signature = ""
    with suppress(OSError):
        signature = (PROC / "version_signature").read_text(encoding="ascii")
    return Kernel(release, upstream(release, os.uname().version, signature))


def upstream(release: str, version: str, signature: str) -> tuple[int, ...]:
    """The upstream version. Debian tells it in `uname -v`, Ubuntu in /proc/version_signature, most in `uname -r`.

    Red Hat's kernels are made of many: nobody can tell.

    >>> upstream("6.1.0-18-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)", "")
    (6, 1, 76)
    >>> upstream("5.15.0-91-generic", "#101-Ubuntu SMP", "Ubuntu 5.15.0-91.101-generic 5.15.131")
    (5, 15, 131)
    >>> upstream("6.18.44", "#1 SMP", ""), upstream("5.14.0-427.el9.x86_64", "#1 SMP", "")
    ((6, 18, 44), ())
    """
    if ".el" in release:
        return ()
    words = version.split()
    told = words[words.index("Debian") + 1] if "Debian" in words[:-1] else (signature.split() or [release])[-1]
    numbers = told.split("-")[0].split("+")[0].split(".")
    return tuple(int(number) for number in numbers) if all(number.isdigit() for number in numbers) else ()


def choice(settings: Settings, daemon: Daemon | None) -> Choice:
    """Which installer this host gets; of a daemon that runs, the one that it has."""
    if daemon is not None and daemon.status is not None:
        return Choice(daemon.status.steering)
    try:
        installer = probe.choose(settings.steering, settings.marks)
    except CalicodError as error:
        return Choice(trouble=trouble(error))
    return Choice(installer.name, installer.notices)


def binding() -> Trouble | None:
    """Why there are no queues here, if so."""
    try:
        nfqueue.require()
    except CalicodError as error:
        return trouble(error)
    return None


def trouble(error: CalicodError) -> Trouble:
    """The same as a value."""
    return Trouble(error.message, error.hint or "")


def holder(run_directory: Path) -> Daemon | None:
    """The daemon that holds the run directory; asked for its lock, which stays its own."""
    pid = locker(run_directory / LOCK_FILE)
    if not pid:
        return None
    family = (pid, *children(pid))
    if elsewhere(pid):
        return Daemon(pid, family, elsewhere=True)
    try:
        return Daemon(pid, family, status=asked(str(run_directory / "calicod.sock"), "/status", Status))
    except Unreachable as error:
        return Daemon(pid, family, silence=error.message)


def locker(path: Path) -> int:
    """The process that holds the lock; 0: nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return 0
    try:
        asked_for = LOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = LOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked_for))
    finally:
        os.close(descriptor)
    return 0 if kind == fcntl.F_UNLCK else int(pid)


def children(pid: int) -> tuple[int, ...]:
    """The processes that it started."""
    try:
        return tuple(map(int, (PROC / str(pid) / "task" / str(pid) / "children").read_text().split()))
    except (OSError, ValueError):
        return ()


def reader(port: int) -> Holder:
    """Who reads a queue."""
    owner = find_owner(port)
    return Holder() if owner is None else Holder(owner.pid, owner.name)


def sysctls(present: Iterable[Link]) -> Mapping[str, str]:
    """Those that the checks look at, of this network namespace."""
    wanted = [*SYSCTLS, *(place.format(link.name) for link in present for place in OF_EACH)]
    found = {}
    for name in wanted:
        with suppress(OSError):
            found[name] = (PROC / "sys" / name).read_text().strip()
    return found


def default_routes() -> Iterator[tuple[int, str]]:
    """Family and interface of each default route of the main table."""
    with suppress(OSError):
        for line in (NET / "route").read_text().splitlines()[1:]:
            name, destination, _, flags, _, _, _, mask, *_ = line.split()
            if destination == mask == "00000000" and int(flags, 16) & V4_FLAGS_UP:
                yield 4, name
    with suppress(OSError):
        for line in (NET / "ipv6_route").read_text().splitlines():
            words = line.split()
            if len(words) == FULL_ROUTE and words[:2] == [V6_DEFAULT, "00"] and words[9] != "lo":
                yield 6, words[9]


def around(settings: Settings) -> Host:
    """Disk, clock and units."""
    directories = {settings.state_directory}
    directories |= {sink.path.parent for sink in settings.events if isinstance(sink, FileSettings)}
    return Host(
        free={path: space for path in directories if (space := free(path)) is not None},
        now=time.time(),
        installed_at=Path(calicod.__file__).stat().st_mtime,
        synchronised=synchronised(),
        systemd=Path("/run/systemd/system").is_dir(),
        service=unit("calicod.service"),
        boot=unit("calicod-boot.service"),
        saved=saved(settings.state_directory / FOLDER),
    )


def saved(folder: Path) -> tuple[str, ...]:
    """The files of rules for the next boot."""
    try:
        return tuple(sorted(path.name for path in folder.iterdir()))
    except OSError:
        return ()


def free(path: Path) -> int | None:
    """Bytes left where the directory is, or will be."""
    for place in (path, *path.parents):
        with suppress(OSError):
            state = os.statvfs(place)
            return state.f_bavail * state.f_frsize
    return None


def synchronised() -> bool | None:
    """Whether somebody keeps the clock right, as the kernel knows it."""
    answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    return None if answer < 0 else answer != TIME_ERROR


def unit(name: str) -> Unit:
    """As the files of systemd say."""
    installed = any((place / name).exists() for place in UNITS)
    return Unit(installed, any(UNITS[0].glob(f"*.wants/{name}")))
