from calicod.engine.memory import MAX_CLASSES, MAX_WAYS, Memory


def test_every_memory_has_a_bound():
    memory = Memory()

    assert {known.limit for known in vars(memory).values()} == {MAX_CLASSES, MAX_WAYS}
