"""Sets on trial: in force in place of the policy files until they are confirmed, then installed among them.

Law: what is decided is on the disk before it is done, so whoever dies, the next one goes on: an unconfirmed trial ends
at its deadline, at the latest with the daemon; a confirmed set is installed. What a set came to is told, and its
record stays until the sinks have that: whoever finds it tells it again. Nobody is asked whether the operator is still
there: only `confirm` keeps a set.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import structlog

from calicod.daemon.booted import boot_id, boot_time
from calicod.daemon.proposal import Document, Outcome
from calicod.daemon.shelf import Former, Held, Shelf
from calicod.daemon.sources import Instead, Sources
from calicod.daemon.state import Reloaded, TrialState
from calicod.datastore import folder
from calicod.datastore.files import Text
from calicod.datastore.fingerprints import fingerprint
from calicod.errors import CalicodError
from calicod.model import event as ev
from calicod.model.moment import timestamp

log = structlog.get_logger()

AT_ONCE_SECONDS = 60.0
"""How long a set that needs no confirmation may take to come into force."""
LOOK_SECONDS = 0.5
AGAIN_SECONDS = 10.0
"""How long after a failure installing is tried again."""

TRIED = "not confirmed in time"
ASKED = "asked for"
STARTED = "the daemon was started anew before it was confirmed"
STOPPED = "the daemon was stopped before it was confirmed"
FAILED = "it could not be brought into force"


class Trials:
    """One per supervisor. `change` reads the sources again and returns when the result is in force, or why not.

    `told` returns when what was told so far is out of this process.
    """

    def __init__(
        self,
        sources: Sources,
        state_directory: Path,
        change: Callable[[], Awaitable[Reloaded]],
        tell: Callable[[ev.Event], None],
        told: Callable[[], Awaitable[None]],
    ) -> None:
        self.trouble = ""
        self._sources = sources
        self._shelf = Shelf(state_directory)
        self._change = change
        self._tell = tell
        self._told = told
        self._boot = boot_id()
        self._held: Held | None = None
        self._over = False
        self._edited: tuple[str, ...] = ()
        self._busy = asyncio.Lock()
        self._again_at = 0.0
        self._ended = False
        self._answer = Reloaded(revision=0, generation=0)

    def take_over(self, *, replaced: bool) -> None:
        """Goes on where a former process ended; before the sources are read. `replaced`: the daemon itself lives on."""
        held = self._shelf.held()
        if held is None:
            return
        if held.phase == "install":
            self._put(held)
            if held.untold is not None:
                self._tell(held.untold)
        elif held.untold is not None:
            self._over = True
            self._tell(held.untold)
        elif not (replaced and held.seconds_left(self._boot, boot_time())):
            self._rolled_back(self._close(held, TRIED if replaced else STARTED))
        else:
            self._put(held)

    def state(self) -> TrialState | None:
        """What is in force in place of the policy files, if anything is."""
        held = self._held
        if held is None:
            return None
        return TrialState(
            phase=held.phase,
            began=held.began,
            seconds_left=round(held.seconds_left(self._boot, boot_time()), 1) if held.phase == "trial" else None,
            files=tuple(text.path for text in held.texts),
            edited=self._edited if held.phase == "trial" else (),
            trouble=self.trouble,
        )

    @property
    def trying(self) -> bool:
        """What is in force may be rolled back by itself."""
        return self._held is not None and self._held.phase == "trial"

    def placed(self, documents: tuple[Document, ...]) -> tuple[Text, ...]:
        """The documents where they would be among the policy files. Raises CalicodError."""
        target = folder.target(self._sources.paths)
        for document in documents:
            if not folder.is_name(document.name):
                raise CalicodError("K053", f'"{document.name}" is no name of a policy file', hint="such as web.yaml")
        if len({document.name for document in documents}) < len(documents):
            raise CalicodError("K053", "two documents have one name", hint="each file of a set has its own")
        return tuple(Text(str(target / document.name), document.text.encode()) for document in documents)

    async def apply(self, documents: tuple[Document, ...], confirm_within: float | None) -> Outcome:
        """Puts a set in place of the policy files; it is rolled back unless it is confirmed. Raises CalicodError."""
        self._refuse_second()
        async with self._busy:
            texts = self.placed(documents)
            reading = await asyncio.to_thread(self._sources.propose, texts)
            if reading.rejected:
                return Outcome(rejected=reading.rejected)
            within = AT_ONCE_SECONDS if confirm_within is None else confirm_within
            written = await asyncio.to_thread(fingerprint, self._sources.paths)
            held = Held(texts=texts, phase="trial", began=now(), boot=self._boot, written=written)
            await self._hold(msgspec.structs.replace(held, deadline=boot_time() + within))
            error = (await self._changed()).error
            if error:
                await self._roll_back(FAILED)
                raise CalicodError("K054", f"the set could not be brought into force: {error}", hint=UNCHANGED)
            if confirm_within is None:
                return await self._confirm("applied")
            await self._hold(msgspec.structs.replace(held, deadline=boot_time() + within))
            self._tell(ev.PolicyTried(files=len(texts), confirm_within_seconds=within))
            return self._outcome("applied")

    async def confirm(self) -> Outcome:
        """Makes the set on trial the policy files. Raises CalicodError."""
        async with self._busy:
            held = self._held
            if held is None or (held.phase == "trial" and not held.seconds_left(self._boot, boot_time())):
                raise CalicodError("K051", "there is no trial to confirm", hint="it may have been rolled back already")
            return await self._confirm("confirmed")

    async def rollback(self) -> Outcome:
        """Ends the trial, or brings the policy files back that the last installed set replaced. Raises CalicodError."""
        async with self._busy:
            held = self._held
            if held is not None and held.phase == "trial":
                await self._roll_back(ASKED)
                return self._outcome("rolled-back")
            former = self._shelf.former() if held is None else held.former
            if former is None:
                raise CalicodError("K052", "there is nothing to roll back to", hint="no set was applied here yet")
            told = ev.PolicyRolledBack(reason=ASKED, files=len(former.texts))
            back = Held(texts=former.texts, phase="install", began=now(), last_good=former.last_good, untold=told)
            if held is None:
                back = await self._replacing(back)
            else:
                back = msgspec.structs.replace(back, former=Former(held.texts, held.last_good))
            await self._hold(back)
            await self._changed()
            self._rolled_back(told)
            await self._install()
            return self._outcome("rolled-back")

    async def watch(self) -> None:
        """Ends a trial when its time is over, and goes on installing what could not be installed."""
        while True:
            held = self._held
            if held is not None and not self._busy.locked():
                await self._look(held)
            elif self._over and not self._busy.locked():
                async with self._busy:
                    await self._forget()
            await asyncio.sleep(LOOK_SECONDS)

    async def end(self) -> None:
        """The daemon ends: nobody would be there to roll back."""
        self._ended = True
        async with self._busy:
            await self._forget()
            if self._held is not None and self._held.phase == "trial":
                await self._roll_back(STOPPED)

    async def _look(self, held: Held) -> None:
        """INVARIANT: only what is due takes the lock: a look must not stand in the way of who confirms."""
        if held.phase == "install" and time.monotonic() >= self._again_at:
            async with self._busy:
                await self._install()
        elif held.phase == "trial" and not held.seconds_left(self._boot, boot_time()):
            async with self._busy:
                await self._roll_back(TRIED)
        elif held.phase == "trial":
            present = await asyncio.to_thread(fingerprint, self._sources.paths)
            if self._held is held:
                self._edited = folder.differences(held.written, present)

    def _refuse_second(self) -> None:
        if self._ended:
            raise CalicodError("K054", "the daemon is stopping", hint="start it: `systemctl start calicod`")
        if self._busy.locked():
            raise CalicodError("K050", "another change of this kind is under way", hint="`calicod status` tells of it")
        state = self.state()
        if state is not None:
            left = f", {state.seconds_left:.0f} s left" if state.seconds_left is not None else ""
            hint = "`calicod confirm` keeps it, `calicod rollback` ends it"
            raise CalicodError("K050", f"a set is on trial already{left}", hint=hint)

    async def _confirm(self, done: str) -> Outcome:
        held = self._held
        assert held is not None  # noqa: S101  the callers have looked
        present = await asyncio.to_thread(fingerprint, self._sources.paths)
        edited = folder.differences(held.written, present) if held.phase == "trial" else ()
        if held.phase == "trial":
            told = ev.PolicyConfirmed(files=len(held.texts))
            await self._hold(msgspec.structs.replace(await self._replacing(held), untold=told))
            self._tell(told)
        await self._install()
        return msgspec.structs.replace(self._outcome(done), edited=edited)

    async def _replacing(self, held: Held) -> Held:
        try:
            return await asyncio.to_thread(self._installing, held)
        except OSError as error:
            hint = "what cannot be read could not be brought back: mend it, and confirm again"
            raise CalicodError("K053", f"the policy files cannot be replaced: {error}", hint=hint) from error

    def _installing(self, held: Held) -> Held:
        """The record of a set that is to be installed, with what is there before it. Raises CalicodError, OSError."""
        folder.target(self._sources.paths)  # what `apply` looked at may be otherwise by now
        former = Former(folder.present(self._sources.paths), self._sources.last_good.content())
        return msgspec.structs.replace(held, phase="install", former=former)

    async def _install(self) -> None:
        """Makes the set the policy files; what fails is told and tried again, the set is in force meanwhile."""
        held = self._held
        assert held is not None  # noqa: S101  the callers have looked
        await self._told()
        try:
            await asyncio.to_thread(self._replace_files, held)
        except OSError as error:
            self.trouble = f"the applied set is in force, but cannot be written to the policy files: {error}"
            self._again_at = time.monotonic() + AGAIN_SECONDS
            log.error("trial.uninstalled", error=str(error))  # noqa: TRY400  the place in our code is of no use
            return
        self._put(None)
        await self._changed()

    def _replace_files(self, held: Held) -> None:
        """Every step may be repeated: nothing that is only in the files is lost, whoever wrote it meanwhile."""
        wanted = {text.path: text.content for text in held.texts}
        found = {text.path: text for text in held.former.texts}
        edits = (text for text in folder.present(self._sources.paths) if wanted.get(text.path) != text.content)
        former = Former(tuple((found | {text.path: text for text in edits}).values()), held.former.last_good)
        if former != held.former:
            self._shelf.hold(msgspec.structs.replace(held, former=former))
        folder.install(self._sources.paths, held.texts)
        if held.last_good:
            self._sources.last_good.recall(held.last_good)
        self._shelf.keep(former)
        self._shelf.release()

    async def _roll_back(self, reason: str) -> None:
        held = self._held
        assert held is not None  # noqa: S101  the callers have looked
        told = await asyncio.to_thread(self._close, held, reason)
        self._put(None)
        await self._changed()
        self._rolled_back(told)
        await self._forget()

    def _close(self, held: Held, reason: str) -> ev.PolicyRolledBack:
        """The trial is over, and what it came to is on the disk; where nothing can be written, the record goes."""
        told = ev.PolicyRolledBack(reason=reason, files=len(held.texts))
        try:
            self._shelf.hold(msgspec.structs.replace(held, untold=told))
        except OSError as error:
            log.error("trial.unwritten", error=str(error))  # noqa: TRY400  the place in our code is of no use
            self._release()
        else:
            self._over = True
        return told

    async def _forget(self) -> None:
        """Removes the record of a trial that is over, once the sinks have what it came to."""
        if self._over:
            await self._told()
            await asyncio.to_thread(self._release)
            self._over = False

    def _release(self) -> None:
        """The trial ends even if its record stays: a successor finds its deadline passed."""
        try:
            self._shelf.release()
        except OSError as error:
            log.error("trial.unreleased", error=str(error))  # noqa: TRY400  the place in our code is of no use

    async def _changed(self) -> Reloaded:
        self._answer = await self._change()
        return self._answer

    def _rolled_back(self, told: ev.PolicyRolledBack) -> None:
        log.warning("policy.rolled_back", reason=told.reason)
        self._tell(told)

    async def _hold(self, held: Held) -> None:
        await self._forget()
        try:
            await asyncio.to_thread(self._shelf.hold, held)
        except OSError as error:
            hint = "check state_directory: a trial that is not on the disk could not be rolled back"
            raise CalicodError("K055", f"the trial cannot be written down: {error}", hint=hint) from error
        self._put(held)

    def _put(self, held: Held | None) -> None:
        self._held = held
        self._sources.held = None if held is None else Instead(held.texts, held.last_good)
        self._edited, self.trouble = (), ""

    def _outcome(self, done: str) -> Outcome:
        answer = self._answer
        return Outcome(
            done=done,
            rejected=answer.rejected,
            revision=answer.revision,
            generation=answer.generation,
            trial=self.state(),
        )


UNCHANGED = "nothing was changed: the policy before it is in force"


def now() -> str:
    """The time of day, as events tell it."""
    return timestamp(time.time_ns())
