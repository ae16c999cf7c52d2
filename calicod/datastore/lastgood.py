"""The last good version of each resource, kept while what is written is broken (D31), across restarts too.

Law: a resource leaves only when it was deleted: its document is gone from a file that reads well, or its file is gone.
What was never valid is never here. A damaged state is told and begins anew.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from calicod.errors import Diagnostic
from calicod.resources.kinds import Resource, identity
from calicod.resources.load import Identity, Loaded

MAGIC = b"calicod last good 1\n"
DIGEST_BYTES = 16


class Merged(msgspec.Struct, frozen=True):
    """What is in force. `kept`: those whose last good version stands for what is broken now."""

    resources: tuple[Resource, ...]
    diagnostics: tuple[Diagnostic, ...]
    kept: tuple[Resource, ...]


class LastGood:
    """The memory of what was valid, in one file of a directory."""

    def __init__(self, directory: Path) -> None:
        self.path = Path(directory) / "lastgood"
        self._written = b""
        self._known: dict[Identity, Resource] | None = None
        self._problems: tuple[Diagnostic, ...] = ()

    def merge(self, loaded: Loaded) -> Merged:
        """What was read, with the last good version of what is broken; and remembers the result."""
        if self._known is None:
            self._known, self._problems = self._recalled()
        problems, self._problems = self._problems, ()
        merged = _merged(self._known, loaded)
        self._known = {identity(resource): resource for resource in merged.resources}
        problems += self._remember(merged.resources)
        return msgspec.structs.replace(merged, diagnostics=loaded.diagnostics + problems)

    def content(self) -> bytes:
        """The state as it stands, for `recall` and `beside`; empty when there is none."""
        known = self._recalled()[0] if self._known is None else self._known
        return encoded(tuple(known.values())) if known else b""

    def recall(self, content: bytes) -> None:
        """Puts a former state in place of this one."""
        self._known, problems = _opened(content)
        self._problems += problems + self._remember(tuple(self._known.values()))

    def _recalled(self) -> tuple[dict[Identity, Resource], tuple[Diagnostic, ...]]:
        """What the last process remembered."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}, ()
        except OSError as error:
            return {}, (self._problem(f"cannot be read: {error.strerror}"),)
        try:
            resources = decoded(content)
        except (ValueError, msgspec.MsgspecError) as error:
            return {}, (self._problem(f"damaged, last good versions are lost: {error}"),)
        self._written = content
        return {identity(resource): resource for resource in resources}, ()

    def _remember(self, resources: tuple[Resource, ...]) -> tuple[Diagnostic, ...]:
        content = encoded(resources)
        if content == self._written:
            return ()
        try:
            replace_durably(self.path, content)
        except OSError as error:
            return (self._problem(f"cannot be written: {error.strerror}"),)
        self._written = content
        return ()

    def _problem(self, message: str) -> Diagnostic:
        hint = "check state_directory: broken resources will not keep their last good version across a restart"
        return Diagnostic(code="Y021", message=message, hint=hint, file=str(self.path))


def beside(content: bytes, loaded: Loaded) -> Merged:
    """What was read, with the last good versions of another state, which stays as it is."""
    known, problems = _opened(content)
    merged = _merged(known, loaded)
    return msgspec.structs.replace(merged, diagnostics=merged.diagnostics + problems)


def _opened(content: bytes) -> tuple[dict[Identity, Resource], tuple[Diagnostic, ...]]:
    """What a state holds; nothing, told, when another version wrote it."""
    try:
        resources = decoded(content) if content else ()
    except (ValueError, msgspec.MsgspecError) as error:
        message = f"last good versions that belong to these files are lost: {error}"
        return {}, (Diagnostic(code="Y021", message=message, hint="mend what is rejected"),)
    return {identity(resource): resource for resource in resources}, ()


def _merged(known: dict[Identity, Resource], loaded: Loaded) -> Merged:
    kept = tuple(_kept(known, loaded))
    return Merged(loaded.resources + kept, loaded.diagnostics, kept)


def _kept(known: dict[Identity, Resource], loaded: Loaded) -> Iterable[Resource]:
    """Former resources that are broken now, or whose file is: not those that are simply gone."""
    present = {identity(resource) for resource in loaded.resources}
    rejected = set(loaded.rejected)
    broken = set(loaded.broken)
    # A path that cannot be read may be a directory: everything below it is kept.
    below = tuple(path.rstrip("/") + "/" for path in loaded.broken)
    for who, resource in known.items():
        file = resource.place.file
        if who not in present and (who in rejected or file in broken or file.startswith(below)):
            yield resource


def encoded(resources: tuple[Resource, ...]) -> bytes:
    """The state as it stands in the file: magic, digest, msgpack."""
    body = msgspec.msgpack.encode(resources)
    return MAGIC + _digest(body) + body


def decoded(content: bytes) -> tuple[Resource, ...]:
    """The inverse of `encoded`. Raises ValueError or msgspec.MsgspecError."""
    if not content.startswith(MAGIC):
        raise ValueError("not a state of this version")
    body = content[len(MAGIC) + DIGEST_BYTES :]
    if content[len(MAGIC) :][:DIGEST_BYTES] != _digest(body):
        raise ValueError("the digest does not fit")
    return msgspec.msgpack.decode(body, type=tuple[Resource, ...])


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest()


def replace_durably(path: Path, content: bytes) -> None:
    """Writes a file so that a crash leaves either the old or the new."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    settle(path.parent)


def settle(directory: Path) -> None:
    """What was done in a directory stays done, whatever happens to the machine."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
