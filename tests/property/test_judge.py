"""Whatever comes up, at whatever hook, under whatever mark: one verdict, one record, no exception."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calicod.model.decision import Decision
from calicod.model.verdict import Reason, Verdict
from calicod.packet.decode import decode
from calicod.packet.value import Malformed
from tests.unit.daemon.test_judge import CALI, ETH0, Bench, ipv4, tcp, unreachable

WORDS = st.integers(0, 2**32 - 1)
INDEXES = st.sampled_from([0, ETH0, CALI, 99])
ANYTHING = st.one_of(
    st.binary(max_size=120),
    st.binary(max_size=100).map(lambda tail: b"\x45" + tail),
    st.binary(max_size=100).map(lambda tail: b"\x60" + tail),
    st.builds(
        ipv4,
        st.just("192.0.2.10"),
        st.just("10.65.0.2"),
        st.integers(0, 255),
        st.binary(max_size=60),
        WORDS.map(lambda w: w & 0x3FFF),
    ),
    st.builds(
        lambda inner, cut: unreachable("10.65.0.2", "192.0.2.10", inner[:cut]),
        st.builds(tcp, st.just("192.0.2.10"), st.just("10.65.0.2"), st.integers(0, 65535), st.integers(0, 65535)),
        st.integers(0, 40),
    ),
)


@pytest.mark.parametrize("queue", ["original", "reply"])
@given(payload=ANYTHING, mark=WORDS, hook=st.integers(-1, 6), indev=INDEXES, outdev=INDEXES, fail_open=st.booleans())
def test_every_packet_gets_one_verdict_and_one_record(queue, payload, mark, hook, indev, outdev, fail_open):
    bench = Bench(fail_open=fail_open)

    verdict = getattr(bench.judge, queue)(payload, mark, hook, indev, outdev)

    (record,) = bench.records
    decision = msgspec.msgpack.decode(record.decision, type=Decision)
    spared = verdict is Verdict.SPARE and decision.verdict is Verdict.ACCEPT
    assert isinstance(verdict, Verdict) and (spared or verdict is decision.verdict)
    assert bench.totals.failed == 0
    if isinstance(decode(payload), Malformed):
        assert (verdict, decision.reason) == (Verdict.DROP, Reason.MALFORMED)
