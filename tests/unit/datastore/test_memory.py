import asyncio

from calicod.datastore.memory import Memory
from tests.unit.datastore.texts import codes, names, tier


def test_texts_are_read_in_the_order_of_their_names():
    assert names(Memory({"b": tier("b"), "a": tier("a")}).read()) == ["a", "b"]


def test_what_is_wrong_is_told_under_the_name_of_its_text():
    loaded = Memory({"broken": "a: [1"}).read()

    assert (codes(loaded), loaded.broken) == (["Y001"], ("broken",))


def test_several_changes_are_told_once_and_the_next_one_again():
    async def told() -> list[list[str]]:
        memory = Memory({"a": tier("a")})
        changes = memory.changes()
        seen = []
        for step in (lambda: (memory.write("b", tier("b")), memory.delete("a")), lambda: memory.write("c", tier("c"))):
            waiting = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0)
            step()
            await asyncio.wait_for(waiting, 5)
            seen.append([*names(memory.read())])
        return seen

    assert asyncio.run(told()) == [["b"], ["b", "c"]]
