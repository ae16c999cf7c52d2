from calicod.daemon.kernel import QueueLoss, new_drops, our_queues, queue_losses
from calicod.daemon.state import QueueState


def queue(number: int, full: int, socket: int) -> QueueState:
    return QueueState(queue=number, waiting=0, queue_dropped=full, user_dropped=socket)


def test_a_growing_queue_counter_is_told_as_its_difference():
    assert queue_losses({5: queue(5, 3, 1)}, {5: queue(5, 10, 1)}) == (QueueLoss(5, 7, 0),)


def test_an_unchanged_queue_counter_is_not_told_again():
    assert queue_losses({5: queue(5, 3, 1)}, {5: queue(5, 3, 1)}) == ()


def test_a_queue_that_was_reset_counts_from_zero():
    assert queue_losses({5: queue(5, 30, 4)}, {5: queue(5, 2, 0)}) == (QueueLoss(5, 2, 0),)


def test_a_new_queue_counts_from_zero():
    assert queue_losses({}, {7: queue(7, 0, 6)}) == (QueueLoss(7, 0, 6),)


def test_drops_are_told_by_reason_as_differences():
    assert new_drops({"invalid": 4, "spoofed": 1}, {"invalid": 9, "spoofed": 1}) == {"invalid": 5}


def test_a_drop_counter_that_fell_was_reset_and_counts_from_zero():
    assert new_drops({"invalid": 40}, {"invalid": 3}) == {"invalid": 3}


def test_the_queues_of_others_are_not_ours():
    numbers = set(our_queues(64000, 2))

    assert numbers <= {64000, 64001, 64002, 64003}
