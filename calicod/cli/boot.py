"""`calicod boot`: closes at boot what policy manages, when no daemon has saved rules for that yet.

Law: rules of ours that are there already are left alone, whoever loaded them: they are newer.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from calicod.errors import CalicodError, PolicyError

if TYPE_CHECKING:
    from calicod.daemon.settings import Settings


@click.command("boot")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="The daemon's configuration. Default: /etc/calicod/calicod.yaml, if there is one.",
)
def command(*, config: Path | None) -> None:
    """Close what policy manages, but for failsafe ports, until the daemon judges.

    For the unit calicod-boot.service at the first boot; from then on it loads what the daemon saved, without this
    command. Exit: 0 closed, or rules of calicod's are there already, 1 the configuration has errors, or policy files
    have and no endpoint could be read, 4 the kernel or a permission is missing.

    \b
    Example:
      calicod boot --config /etc/calicod/calicod.yaml
    """
    from calicod.daemon.settings import load_settings

    try:
        click.echo(close(load_settings(config)))
    except PolicyError as error:
        click.echo(str(error), err=True)
        raise SystemExit(1) from error
    except CalicodError as error:
        click.echo(str(error), err=True)
        raise SystemExit(error.exit_code) from error


def close(settings: "Settings") -> str:
    """Loads the rules; says what was done. Raises CalicodError."""
    from calicod.daemon.boot import written
    from calicod.netfilter import links, probe
    from calicod.netfilter.plan import manages

    installer = probe.choose(settings.steering, settings.marks)
    if installer.inspect().generation is not None:
        return "rules of calicod's are there already: nothing to do"
    found = written(settings, links.interfaces())
    managed = manages(found.steering)
    if found.rejected and not managed:
        raise PolicyError(list(found.rejected))
    for finding in found.rejected:
        click.echo(str(finding), err=True)
    installer.install(found.steering)
    if not managed:
        return f"no endpoint of node {settings.node_name} is written: nothing is closed"
    return f"{installer.name}: closed but for failsafe ports, until the daemon judges"
