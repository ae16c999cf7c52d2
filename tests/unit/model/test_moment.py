import pytest

from calicod.model.moment import timestamp


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (999, "1970-01-01T00:00:00.000000Z"),
        (1_700_000_000_000_001_999, "2023-11-14T22:13:20.000001Z"),
    ],
)
def test_time_is_utc_in_microseconds_cut_off(time_ns, text):
    assert timestamp(time_ns) == text
