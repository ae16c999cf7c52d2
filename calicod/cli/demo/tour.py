"""`calicod demo`: the whole thing once, from building the world to tidying it up.

Law: whatever ends it (the end, a failure, Ctrl-C, SIGTERM), every namespace and process that it made is removed; what a
killed one left is removed by the next. The namespace that it was started in is never touched.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType

import click
import msgspec

from calicod.cli.client import Unreachable
from calicod.cli.demo import lease
from calicod.cli.demo.cases import Case, examples, load_cases
from calicod.cli.demo.daemon import Daemon
from calicod.cli.demo.narrate import Narrator
from calicod.cli.demo.report import report
from calicod.cli.demo.space import ENDING
from calicod.cli.demo.traffic import Traffic
from calicod.cli.demo.trial import Result, Trial, files
from calicod.cli.demo.world import NODE, World, known_families, pods_of
from calicod.datastore.files import read
from calicod.errors import CalicodError

PREFIX = "calicod-demo-"
PACE_SECONDS = 1.5
SAID = "diagnostic.txt"
"""What the daemon must say about an example with a mistake."""


class Stopped(Exception):  # noqa: N818  nothing went wrong
    """A signal asked to end."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


@click.command("demo")
@click.option("--case", "numbers", type=int, multiple=True, metavar="N", help="Only this case; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Everything that happened as one JSON object.")
@click.option("--keep", is_flag=True, help="Leave it up to play with until Ctrl-C.")
@click.option(
    "--steering",
    type=click.Choice(["auto", "iptables-nft", "iptables-legacy", "nft"]),
    default="auto",
    help="How the kernel is steered.",
)
@click.option("--examples", "folder", type=click.Path(exists=True, file_okay=False), help="Another folder of examples.")
@click.option("--pace", type=float, help="Seconds between cases, to read along. Default: 1.5 on a terminal, else 0.")
def command(  # one parameter for each option
    *,
    numbers: tuple[int, ...],
    as_json: bool,
    keep: bool,
    steering: str,
    folder: str | None,
    pace: float | None,
) -> None:
    """Build client, node and pods in network namespaces, run the real daemon, send real traffic, show each decision.

    Needs root; touches nothing of this host outside those namespaces, and removes them at the end.

    Exit: 0 every outcome is as its policy says, 1 one is not, 2 wrong usage, 4 not root or the kernel lacks something.

    \b
    Examples:
      calicod demo
      calicod demo --case 5 --keep
    """
    narrator = Narrator() if not as_json else None
    if pace is None:
        pace = PACE_SECONDS if narrator is not None and narrator.console.is_terminal else 0.0
    try:
        require_root()
        cases, mistakes = chosen(Path(folder) if folder else examples(), numbers)
        tour = Tour(cases=cases, mistakes=mistakes, steering=steering, narrator=narrator, keep=keep, pace=pace)
        with ending_in_order() as tidying_up:
            code = perform(tour, tidying_up)
    except Stopped as stopped:
        code = 128 + stopped.number
    except Unreachable as error:
        click.echo(f"the daemon of the demo is gone: {error}", err=True)
        code = 3
    except CalicodError as error:
        click.echo(str(error), err=True)
        code = error.exit_code
    raise SystemExit(code)


def require_root() -> None:
    """Raises CalicodError for anybody else."""
    if os.geteuid() != 0:
        hint = "run `sudo calicod demo`; it touches nothing outside namespaces of its own"
        raise CalicodError("K083", "the demo needs root: it makes network namespaces", hint=hint, exit_code=4)


def chosen(folder: Path, numbers: tuple[int, ...]) -> tuple[tuple[Case, ...], tuple[Path, ...]]:
    """The cases with these numbers, and the examples with mistakes; all when there are no numbers."""
    cases = load_cases(folder)
    mistakes = tuple(sorted(path.parent for path in folder.glob(f"*/{SAID}")))
    unknown = set(numbers) - {case.number for case in cases}
    if unknown:
        have = ", ".join(str(case.number) for case in cases)
        raise CalicodError("K080", f"there is no case {min(unknown)}", hint=f"there are {have}", exit_code=2)
    if numbers:
        return tuple(case for case in cases if case.number in numbers), ()
    return cases, mistakes


@contextlib.contextmanager
def ending_in_order() -> Iterator[Callable[[], None]]:
    """A signal that asks to end becomes an exception, until what this gives is called: nothing disturbs tidying up.

    Once it has asked, no other is heard any more: the process is about to end.
    """
    asked: list[int] = []

    heard = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]  # as `nohup` wants it

    def nothing(_: int, __: FrameType | None) -> None:
        """Not SIG_IGN: of a signal that is on its way already Python would complain."""

    def tidying_up() -> None:
        for each in heard:
            signal.signal(each, nothing)

    def stop(number: int, _: FrameType | None) -> None:
        asked.append(number)
        tidying_up()
        raise Stopped(number)

    former = {number: signal.signal(number, stop) for number in heard}
    try:
        yield tidying_up
    finally:
        for number, handler in former.items():
            signal.signal(number, signal.SIG_IGN if asked else handler)  # what Python handles ends it at its own end


class Tour(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be shown, and how. `narrator` None: not to people. `pace`: seconds between cases."""

    cases: tuple[Case, ...]
    mistakes: tuple[Path, ...]
    steering: str
    narrator: Narrator | None
    keep: bool
    pace: float


def perform(tour: Tour, tidying_up: Callable[[], None]) -> int:
    """Builds, shows, tidies up; the exit code."""
    with contextlib.ExitStack() as stack:
        try:
            return play(tour, stack)
        finally:
            tidying_up()


def play(tour: Tour, stack: contextlib.ExitStack) -> int:
    """Builds and shows; the stack knows how to undo it."""
    began = time.monotonic()
    held = lease.claim(PREFIX)
    stack.callback(held.close)
    resources = (r for case in tour.cases for r in read([case.folder]).resources)
    world = World(held.prefix, pods_of(resources), known_families())
    if tour.narrator:
        tour.narrator.welcome(world)
    world.build()
    traffic = Traffic(world)
    stack.callback(traffic.close)
    daemon = Daemon(world.space(NODE), held.folder, {"steering": tour.steering})
    stack.callback(daemon.stop)
    status = daemon.start()
    if tour.narrator:
        tour.narrator.ready(status, time.monotonic() - began)
    trial = Trial(world, traffic, daemon)
    code = show(tour, trial)
    if tour.keep:
        leave_up(tour, trial)
    return code


def show(tour: Tour, trial: Trial) -> int:
    """Every case, then every mistake; the exit code."""
    began = time.monotonic()
    results = [play_case(tour, trial, case) for case in tour.cases]
    said = {folder.name: mistaken(trial.daemon, folder) for folder in tour.mistakes}
    wrong = [text for result in results for text in result.differences]
    wrong += differences(tour.mistakes, said)
    wrong += trial.surplus()
    seconds = time.monotonic() - began
    if tour.narrator:
        for folder in tour.mistakes:
            tour.narrator.mistake(folder, said[folder.name])
        tour.narrator.farewell(results, wrong, seconds)
        if not tour.keep:
            tour.narrator.invite(results)
    else:
        click.echo(report(results, said, wrong, seconds))
    return 1 if wrong else 0


def play_case(tour: Tour, trial: Trial, case: Case) -> Result:
    """One case, with what there is to say before and after."""
    if not tour.narrator:
        return trial.run(case)
    tour.narrator.open(case)
    result = trial.run(case)
    tour.narrator.close(result)
    time.sleep(tour.pace)
    return result


def mistaken(daemon: Daemon, folder: Path) -> tuple[str, ...]:
    """What the daemon says about an example with a mistake, with the file's own name."""
    rejected = daemon.use(files(folder)).rejected
    return tuple(str(d).replace(f"{daemon.policies}/", "") for d in rejected)


def differences(folders: Iterable[Path], said: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Where the daemon says something else about a mistake than is written."""
    for folder in folders:
        expected = (folder / SAID).read_text(encoding="utf-8").strip()
        if (found := "\n".join(said[folder.name])) != expected:
            yield f"{folder.name}: the daemon says {found!r}, expected {expected!r}"


def leave_up(tour: Tour, trial: Trial) -> None:
    """Waits until somebody asks to end; the last case is in force."""
    case = tour.cases[-1]
    trial.daemon.use(files(case.folder))
    (tour.narrator or Narrator(sys.stderr)).explain(trial.world, trial.daemon, case)
    with contextlib.suppress(Stopped):
        signal.pause()
