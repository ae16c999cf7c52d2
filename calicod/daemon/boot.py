"""Boot protection: the rules with which this host starts, before the daemon does.

Law: what is saved is the steering last in force, of generation 0: no stamp has ever borne it, so that between boot and
the daemon nothing passes but failsafes, discovery and what the host sends to its own workloads. Saving never holds up a
change of policy: what cannot be saved is told.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from calicod.compiler.compile import compile
from calicod.compiler.steering import steer
from calicod.daemon.settings import Settings
from calicod.datastore.files import read
from calicod.errors import Diagnostic, Severity
from calicod.model.interface import Interface
from calicod.model.steering import Steering
from calicod.netfilter.installer import Installer
from calicod.resources.snapshot import snapshot
from calicod.ruleset.program import RuleSet

FOLDER = "boot"
"""In the state directory: for each program that restores rules a file of its name."""
GENERATION = 0


class Boot:
    """The rules saved for the next boot. `problem`: why the last ones could not be, as a sentence."""

    def __init__(self, state_directory: Path, installer: Installer) -> None:
        self.folder = state_directory / FOLDER
        self.problem = ""
        self._installer = installer
        self._saved: Mapping[str, str] | None = None

    def save(self, steering: Steering) -> None:
        """Brings the files up to date. Blocks: it waits for the disk, when anything changed."""
        script = self._installer.script(msgspec.structs.replace(steering, generation=GENERATION, denied=(), allowed=()))
        if script == self._saved:
            return
        try:
            replace(self.folder, script)
        except OSError as error:
            self.problem = f"the rules for the next boot cannot be saved in {self.folder}: {error.strerror or error}"
            self._saved = None
        else:
            self.problem = ""
            self._saved = script


def replace(folder: Path, script: Mapping[str, str]) -> None:
    """Makes these, and no others, the files of the folder; a crash leaves of each the old or the new."""
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    for name, text in script.items():
        draft = folder / f".{name}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / name)
    for path in folder.iterdir():
        if path.name not in script:
            path.unlink()


def forget(state_directory: Path) -> None:
    """After this no rule of ours is loaded at boot from what was saved."""
    folder = state_directory / FOLDER
    with suppress(FileNotFoundError):
        replace(folder, {})
        folder.rmdir()


class Written(msgspec.Struct, frozen=True):
    """The policy as it is written, without the daemon's memory: what it amounts to here, and what was refused."""

    ruleset: RuleSet
    steering: Steering
    rejected: tuple[Diagnostic, ...]


def written(settings: Settings, interfaces: Iterable[Interface]) -> Written:
    """Reads the policy files and changes nothing. The steering is of generation 0."""
    loaded = read(settings.policy_paths)
    ruleset = compile(snapshot(loaded.resources), settings.node_name).ruleset
    plain = Steering(
        generation=GENERATION,
        queue_base=settings.queue_base,
        workers=settings.workers,
        fail_open=settings.fail_open,
        answers=settings.rejects or settings.cut_with_reset,
        marks=settings.marks,
    )
    steering = steer(ruleset, interfaces, None, plain)
    return Written(ruleset, steering, tuple(d for d in loaded.diagnostics if d.severity is Severity.ERROR))
