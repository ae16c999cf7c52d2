import asyncio

from calicod.daemon.changes import Changes, Wish


def test_wishes_that_arrive_together_are_served_by_one_change():
    async def scenario() -> tuple[Wish, int]:
        changes = Changes()
        changes.ask(reread=False)
        changes.ask_and_wait(reread=True)
        changes.ask_and_wait(reread=False)
        wish, waiting = await changes.next(0)
        return wish, len(waiting)

    assert asyncio.run(scenario()) == (Wish(reread=True), 2)


def test_a_wish_during_a_change_is_served_by_the_next_one():
    async def scenario() -> list[Wish]:
        changes = Changes()
        changes.ask(reread=True)
        first, _ = await changes.next(0)
        changes.ask(reread=False)
        second, _ = await changes.next(0)
        return [first, second]

    assert asyncio.run(scenario()) == [Wish(reread=True), Wish(reread=False)]


def test_nobody_is_served_before_somebody_asks():
    async def scenario() -> bool:
        changes = Changes()
        try:
            await asyncio.wait_for(changes.next(0), 0.01)
        except TimeoutError:
            return True
        return False

    assert asyncio.run(scenario())
