"""What every datastore must do, by the same test for each of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from calicod.datastore.files import Files
from calicod.datastore.memory import Memory
from calicod.datastore.plug import Datastore
from tests.unit.datastore.texts import codes, names, tier

PATIENCE = 10.0


class Bench:
    """A datastore with a way to change it from outside."""

    def __init__(self, store: Datastore, write: Callable[[str, str], None], delete: Callable[[str], None]) -> None:
        self.store = store
        self.write = write
        self.delete = delete


@pytest.fixture(params=["memory", "files"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    if request.param == "memory":
        memory = Memory()
        return Bench(memory, memory.write, memory.delete)
    return Bench(
        Files([tmp_path]),
        lambda name, text: (tmp_path / f"{name}.yaml").write_text(text),
        lambda name: (tmp_path / f"{name}.yaml").unlink(),
    )


def test_an_empty_datastore_holds_nothing_and_nothing_is_wrong(bench: Bench):
    loaded = bench.store.read()

    assert (loaded.resources, loaded.diagnostics) == ((), ())


def test_what_was_written_is_read_and_what_was_deleted_is_not(bench: Bench):
    bench.write("b", tier("beta"))
    bench.write("a", tier("alpha"))
    assert names(bench.store.read()) == ["alpha", "beta"]

    bench.delete("a")

    assert names(bench.store.read()) == ["beta"]


def test_what_is_wrong_is_told_and_does_not_hide_the_rest(bench: Bench):
    bench.write("a", tier("alpha", order="much"))
    bench.write("b", tier("beta"))

    loaded = bench.store.read()

    assert names(loaded) == ["beta"]
    assert len(codes(loaded)) == 1
    assert loaded.rejected == (("Tier", "", "alpha"),)


def test_each_change_is_told_after_it_can_be_read(bench: Bench):
    async def told() -> list[list[str]]:
        changes = bench.store.changes()
        seen = []
        for step in (
            lambda: bench.write("a", tier("alpha")),
            lambda: bench.write("b", tier("beta")),
            lambda: bench.delete("a"),
        ):
            waiting = asyncio.ensure_future(step_of(changes))
            await asyncio.sleep(0.05)
            step()
            await asyncio.wait_for(waiting, PATIENCE)
            seen.append(names(bench.store.read()))
        return seen

    assert asyncio.run(told()) == [["alpha"], ["alpha", "beta"], ["beta"]]


def test_nothing_is_told_while_nothing_changes(bench: Bench):
    async def told() -> bool:
        waiting = asyncio.ensure_future(step_of(bench.store.changes()))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        waiting.cancel()
        return bool(done)

    assert asyncio.run(told()) is False


async def step_of(changes: AsyncIterator[None]) -> None:
    await anext(changes)
