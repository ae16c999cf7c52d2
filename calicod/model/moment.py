"""A moment, as events tell it. Law: UTC, whatever the machine's time zone is."""

from datetime import UTC, datetime

NANOSECONDS = 1_000_000_000


def timestamp(time_ns: int) -> str:
    """RFC 3339, UTC, microseconds.

    >>> timestamp(1_700_000_000_123_456_789)
    '2023-11-14T22:13:20.123456Z'
    """
    seconds, rest = divmod(time_ns, NANOSECONDS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"
