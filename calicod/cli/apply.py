"""`calicod apply`: try a set of policy; it shows what it would cut, and the way back stays open.

Law: nothing is applied that has an error, and nothing that cuts the operator's own session for good unless he insists.
What happens after the daemon has the set does not depend on this process.
"""

import os
import re

import click
import msgspec

from calicod.cli.client import asked, socket_option
from calicod.cli.flows import told
from calicod.cli.judging import tell
from calicod.cli.session import find
from calicod.compiler.compile import compile
from calicod.daemon.proposal import Cut, Document, Outcome, Proposal, Prospect, Session
from calicod.datastore.files import gather
from calicod.datastore.folder import names
from calicod.errors import CalicodError
from calicod.eventlog.readable import policy, printable
from calicod.resources.snapshot import snapshot

DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)?")
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
SHORTEST, LONGEST = 5.0, 86_400.0
CUTS_SHOWN = 20
SESSION = {"allow": "stays", "deny": "WOULD BE CUT", "unknown": "cannot be judged: its path is not certain"}


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """A time, as `60s`, `5m` or `90`, in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds of a text."""
        match = DURATION.fullmatch(str(value))
        seconds = float(match[1]) * UNITS[match[2]] if match else 0.0
        if not SHORTEST <= seconds <= LONGEST:
            self.fail(f'"{value}" is no time between 5s and 24h, such as 60s or 5m', param, ctx)
        return seconds


class Answer(msgspec.Struct, frozen=True):
    """The answer of `--json`. `outcome` None: nothing was applied."""

    prospect: Prospect
    outcome: Outcome | None


@click.command("apply")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--confirm-within",
    type=Duration(),
    metavar="TIME",
    help="Roll back unless `calicod confirm` comes within 5s to 24h, as 60s or 5m. Without: for good at once.",
)
@click.option("--dry-run", is_flag=True, help="Only show what it would change.")
@click.option("--force", is_flag=True, help="For good even if it cuts the SSH session that this runs in.")
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON object on stdout.")
@socket_option
def command(
    *,
    paths: tuple[str, ...],
    confirm_within: float | None,
    dry_run: bool,
    force: bool,
    as_json: bool,
    socket: str,
) -> None:
    """Put a set of resources in place of the policy files, with the way back kept open.

    PATH is a file, a directory (*.yaml, *.yml, *.json, recursive, sorted) or - for standard input; together they are
    the whole policy. First come the live flows that it would cut, your own SSH session before all others. With
    --confirm-within the set is on trial: it rolls back by itself unless `calicod confirm` comes in time, whatever
    becomes of this terminal and of the daemon. Without, and after `confirm`, it is written into policy_paths; what was
    there is kept, and `calicod rollback` brings it back.

    Exit: 0 applied, 1 the input has errors or nothing was applied, 3 the daemon cannot be reached, 4 not permitted.

    \b
    Examples:
      calicod apply new-policies/ --dry-run
      calicod apply new-policies/ --confirm-within 60s
      calicod confirm
    """
    documents = written(paths)
    session = find(os.environ)
    proposal = Proposal(documents=documents, session=session, confirm_within=confirm_within)
    body = msgspec.json.encode(proposal)
    prospect = asked(socket, "/prospect", Prospect, "POST", body)
    tell(prospect.rejected)
    if prospect.refusal is not None:
        raise prospect.refusal.error()
    if not as_json:
        click.echo("\n".join(lines(prospect, session)))
    outcome = None
    if not dry_run:
        refuse_to_saw_off(prospect, confirm_within, force=force)
        outcome = asked(socket, "/apply", Outcome, "POST", body)
        tell(outcome.rejected)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(Answer(prospect, outcome))))
    if outcome is not None:
        if outcome.refusal is not None:
            raise outcome.refusal.error()
        if not as_json:
            click.echo("\n".join(result(outcome)))


def written(paths: tuple[str, ...]) -> tuple[Document, ...]:
    """The set; findings go to stderr, and errors among them end the command with 1."""
    texts, loaded = gather(paths)
    tell(loaded.diagnostics)
    tell(compile(snapshot(loaded.resources), None).diagnostics)
    if not loaded.resources:
        raise CalicodError("K057", f"there is no resource in {', '.join(paths)}", hint="check the paths")
    return tuple(Document(text.path, text.content.decode()) for text in names(texts, paths))


def refuse_to_saw_off(prospect: Prospect, confirm_within: float | None, *, force: bool) -> None:
    """Nobody cuts his own session for good without saying so. Raises CalicodError."""
    if prospect.session == "deny" and confirm_within is None and not force:
        hint = "try it with --confirm-within 60s, or insist with --force"
        raise CalicodError("K057", "nothing was applied: this would cut your own session for good", hint=hint)


def lines(prospect: Prospect, session: Session | None) -> list[str]:
    """What it would change, for people."""
    out = [f"{prospect.resources} resources in {len(prospect.files)} files, {prospect.endpoints} endpoints here"]
    if session is not None:
        out.append(f"your own session {session} {SESSION[prospect.session or 'unknown']}")
    out.append(f"{prospect.cut} of {prospect.flows} live flows would be cut" + (":" if prospect.cuts else ""))
    out += [cut_line(cut) for cut in prospect.cuts[:CUTS_SHOWN]]
    if prospect.cut > CUTS_SHOWN:
        out.append(f"  and {prospect.cut - CUTS_SHOWN} more: --json has {len(prospect.cuts)} of them")
    if prospect.cut and prospect.resets:
        out.append("what is cut is reset (cut_with_reset): it stays cut, also after a rollback")
    if prospect.unjudged:
        out.append(f"{prospect.unjudged} flows could not be judged beforehand: their path is not certain")
    return out


def cut_line(cut: Cut) -> str:
    """One flow that would be cut, for people."""
    rule = policy(msgspec.to_builtins(cut.policy))
    why = printable(f"{cut.reason} {rule}" if rule else cut.reason)
    return f"  {'your own session: ' if cut.session else ''}{told(cut.flow)}; refused: {why}"


def result(outcome: Outcome) -> list[str]:
    """What is in force now, for people."""
    out = [f"{outcome.done.replace('-', ' ')}: revision {outcome.revision}"]
    out += [f"replaced a file that was changed meanwhile: {path}" for path in map(printable, outcome.edited)]
    if outcome.edited:
        out.append("`calicod rollback` brings them back")
    trial = outcome.trial
    if trial is not None and trial.seconds_left is not None:
        left = f"{trial.seconds_left:.0f} s"
        out.append(f"on trial for {left}: `calicod confirm` keeps it, otherwise it rolls back by itself")
    if trial is not None and trial.trouble:
        out.append(printable(f"{trial.trouble}; it is tried again"))
    return out
