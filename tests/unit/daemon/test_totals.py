import msgspec

from calicod.daemon.totals import FAILURE_SECONDS, Totals


def test_a_failure_is_described_with_the_packets_digest_and_at_most_once_a_second():
    totals = Totals()
    totals.fail(KeyError(80), b"abc")
    totals.fail(KeyError(81), b"abcd")
    assert totals.last_failure == "KeyError: 80 (packet of 3 bytes, sha256 ba7816bf8f01cfea)"

    totals.described_at -= FAILURE_SECONDS
    totals.fail(KeyError(82), b"abc")

    assert totals.last_failure.startswith("KeyError: 82")
    assert totals.failed == 3


def test_what_another_process_has_counted_is_gone_on_from():
    totals, other = Totals(judged=1), Totals(judged=5, denied=3, malformed=1)
    other.fail(KeyError(80), b"abc")
    other.refuse(malformed=True)
    other.refuse(malformed=False)

    totals.follow(msgspec.msgpack.decode(msgspec.msgpack.encode(other), type=Totals))

    assert totals == other
    assert (totals.judged, totals.denied, totals.malformed, totals.failed) == (5, 5, 2, 1)
