"""What the kernel is to bring to the queues."""

from calicod.model.steering import FailsafePort, Nic, Steering


def test_queues_of_the_original_direction_come_before_those_of_the_replies():
    steering = Steering(generation=1, queue_base=100, workers=3)

    assert [steering.queues(worker) for worker in range(3)] == [(100, 103), (101, 104), (102, 105)]


def test_a_steering_without_more_manages_nothing_and_fails_closed():
    steering = Steering(generation=1)

    assert (steering.nics, steering.workload_prefixes, steering.wildcard_host) == ((), (), False)
    assert (steering.fail_open, steering.drop_invalid) == (False, True)


def test_equal_contents_make_equal_steerings():
    one, two = (
        Steering(generation=7, nics=(Nic("eth0", 3, managed=True),), failsafe_inbound=(FailsafePort(6, 22),))
        for _ in range(2)
    )

    assert one == two
    assert hash(one) == hash(two)
