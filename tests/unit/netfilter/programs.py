"""Stand-ins for the programs of iptables: small scripts that answer as the test says."""

from pathlib import Path

import pytest

from calicod.netfilter import program
from calicod.netfilter.program import Family


def script(directory: Path, name: str, body: str) -> str:
    """An executable of that name that runs this shell text."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def family(directory: Path, number: int = 4, *, restore: str = "cat >/dev/null", save: str = "true") -> Family:
    """A family of stand-ins."""
    command = program.COMMANDS[number]
    paths = (script(directory, f"{command}-nft-{what}", body) for what, body in (("restore", restore), ("save", save)))
    return Family(number, "nft", *paths)


def only(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No programs but those of the directory are found."""
    monkeypatch.setenv("PATH", str(directory))
    monkeypatch.setattr(program, "DIRECTORIES", (str(directory),))
