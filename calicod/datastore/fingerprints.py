"""What tells one state of files from another without reading them.

Law: two changes within one tick of the kernel's clock may leave one fingerprint; every other shows.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from calicod.datastore.paths import STDIN, files

Fingerprint = tuple[tuple[str, int, int, int, int], ...]
"""Of each file its path, device, inode, size in bytes and time of change in ns; zeros when it cannot be looked at.

That is ctime: unlike mtime nobody can set it, and it tells of permissions too."""


def fingerprint(paths: Sequence[str | Path]) -> Fingerprint:
    """Of every file that the paths mean, in order."""
    prints = []
    for found in files(path for path in paths if str(path) != STDIN):
        try:
            state = os.stat(found.path)  # noqa: PTH116  # no Path per file: directories may hold many thousands
        except OSError:
            prints.append((found.path, 0, 0, 0, 0))
        else:
            prints.append((found.path, state.st_dev, state.st_ino, state.st_size, state.st_ctime_ns))
    return tuple(prints)
