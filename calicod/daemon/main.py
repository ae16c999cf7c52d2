"""The composition root of the daemon: settings to keeper, supervisor and workers.

Law: everything that can be refused is refused here, before the first process is forked and the kernel is touched.
"""

import asyncio
from pathlib import Path

from calicod.daemon.instance import claim
from calicod.daemon.keeper import Channels, Keeper, Layout
from calicod.daemon.log import configure
from calicod.daemon.settings import Settings, load_settings
from calicod.daemon.supervisor import Supervisor


def run(config: Path | None) -> int:
    """Runs until stopped; the exit code. Raises PolicyError for the configuration, CalicodError for this host."""
    settings = load_settings(config)
    configure(settings.log_level, settings.log_format)
    instance = claim(settings.run_directory)
    return Keeper(layout_of(settings), lambda channels: supervise(settings, channels, instance.notices)).run()


def layout_of(settings: Settings) -> Layout:
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
    )


def supervise(settings: Settings, channels: Channels, notices: tuple[str, ...]) -> int:
    """The body of the supervisor's process."""

    async def body() -> int:
        return await Supervisor(settings, channels, notices).run()

    return asyncio.run(body())
