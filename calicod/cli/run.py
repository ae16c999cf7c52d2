"""`calicod run`: the daemon, in the foreground."""

from pathlib import Path

import click

from calicod.errors import CalicodError, PolicyError


@click.command("run")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="The configuration file. Default: /etc/calicod/calicod.yaml, if there is one.",
)
def command(*, config: Path | None) -> None:
    """Run the daemon in the foreground until SIGTERM; the kernel's rules stay and keep enforcing.

    SIGHUP reads all sources again, SIGUSR1 opens log files again. Exit: 0 stopped, 1 the configuration has errors,
    4 the kernel or a permission is missing, or another daemon runs here.

    \b
    Example:
      calicod run --config /etc/calicod/calicod.yaml
    """
    from calicod.daemon.main import run

    try:
        code = run(config)
    except PolicyError as error:
        click.echo(str(error), err=True)
        code = 1
    except CalicodError as error:
        click.echo(str(error), err=True)
        code = error.exit_code
    raise SystemExit(code)
