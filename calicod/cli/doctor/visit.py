"""The command `calicod doctor`."""

from pathlib import Path

import click
import msgspec


@click.command("doctor")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE",
    help="The daemon's configuration. Default: /etc/calicod/calicod.yaml, if there is one.",
)
@click.option("--json", "as_json", is_flag=True, help="Every finding as JSON.")
def command(*, config: Path | None, as_json: bool) -> None:
    """Can this host do it: kernel, iptables, other firewalls, connection tracking, interfaces, unit, disk, clock.

    One line for each finding, with its mend; with and without a running daemon. Changes nothing, but that without a
    daemon one rule of each kind is tried in a chain that nothing jumps to. Exit: 0 it can, 1 something would make it
    fail, 4 not permitted to look.

    \b
    Example:
      calicod doctor --config /etc/calicod/calicod.yaml
    """
    from calicod.cli.doctor.finding import FAIL
    from calicod.cli.doctor.gather import gather
    from calicod.cli.doctor.table import examine

    findings = examine(gather(config))
    failed = any(finding.state == FAIL for finding in findings)
    if as_json:
        click.echo(msgspec.json.encode({"ok": not failed, "findings": findings}).decode())
    else:
        for finding in findings:
            click.echo(str(finding))
    raise SystemExit(1 if failed else 0)
