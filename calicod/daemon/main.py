"""The composition root of the daemon: settings to keeper, supervisor and workers.

Law: everything that can be refused is refused here, before the first process is forked and the kernel is touched.
"""

from functools import partial
from importlib import import_module
from pathlib import Path

from calicod.daemon.instance import claim
from calicod.daemon.keeper import Channels, Keeper, Layout
from calicod.daemon.resumption import resumes
from calicod.daemon.settings import Settings, load_settings
from calicod.errors import CalicodError
from calicod.netfilter.nflog import LogGroup


def run(config: Path | None) -> int:
    """Runs until stopped; the exit code. Raises PolicyError for the configuration, CalicodError for this host."""
    settings = load_settings(config)
    instance = claim(settings.run_directory)
    layout = layout_of(settings, resumes=resumes(settings))
    log_group, lacking = logging(settings.queue_base)
    notices = (*instance.notices, *lacking)
    body = partial(supervise, settings, notices=notices)
    return Keeper(layout, body, prepare=prepare, log_group=log_group).run()


def logging(group: int) -> tuple[LogGroup | None, tuple[str, ...]]:
    """The log group of this number; without it every new connection is asked about, and the notice says so."""
    try:
        return LogGroup(group), ()
    except CalicodError as failure:
        return None, (f"{failure}: the kernel allows nothing by itself",)


def prepare() -> None:
    """Imports what the supervisor needs: the greater part of it all, which no worker waits for."""
    import_module("calicod.daemon.supervisor")


def layout_of(settings: Settings, *, resumes: bool) -> Layout:
    """What the keeper needs of the settings."""
    return Layout(
        run_directory=settings.run_directory,
        queue_base=settings.queue_base,
        queue_length=settings.queue_length,
        workers=settings.workers,
        marks=settings.marks,
        fail_open=settings.fail_open,
        rejects=settings.rejects,
        resets=settings.cut_with_reset,
        resumes=resumes,
    )


def supervise(settings: Settings, channels: Channels, *, notices: tuple[str, ...]) -> int:
    """The body of the supervisor's process."""
    import asyncio
    from threading import Thread

    from calicod.daemon.log import configure
    from calicod.daemon.supervisor import Supervisor

    configure(settings.log_level, settings.log_format)
    Thread(target=import_module, args=("pyroute2",), daemon=True).start()  # while we wait for the kernel's programs

    async def body() -> int:
        return await Supervisor(settings, channels, notices).run()

    return asyncio.run(body())
