from calicod.daemon.booted import boot_id, boot_time


def test_the_clock_is_that_of_the_machine_and_runs():
    first = boot_time()

    assert boot_time() >= first > 0
    assert boot_id() == boot_id() != ""
