"""What every datastore offers: files, memory, and later etcd and Kubernetes.

Law: reading never raises on content: what is wrong with the input is in what was read. A change is told after it can be
read; several at once are told once.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from calicod.resources.load import Loaded


class Datastore(Protocol):
    """A source of resources."""

    def read(self) -> Loaded:
        """Everything it holds now."""

    def changes(self) -> AsyncIterator[None]:
        """Yields whenever reading may give something else than at the time of the call, or of the last yield."""
