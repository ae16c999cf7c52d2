from calicod.engine.memory import MAX_CLASSES, MAX_WAYS, Memory


def test_every_memory_has_a_bound_and_room_multiplies_it():
    bounds = {room: {known.limit for known in vars(Memory(room)).values()} for room in (1, 8)}

    assert bounds == {1: {MAX_CLASSES, MAX_WAYS}, 8: {8 * MAX_CLASSES, 8 * MAX_WAYS}}
