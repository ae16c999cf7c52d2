"""JSON of any value, also of one whose text is not Unicode.

Law: total: a file's name may be any bytes, and what is told of it must be a line of JSON all the same.
"""

import msgspec


def encode_printable(value: object) -> bytes:
    """JSON. Text that is not Unicode (a file name of other bytes) is shown with backslashes."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_printable(msgspec.to_builtins(value)))


def _printable(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {_printable(k): _printable(v) for k, v in value.items()}
        case list() | tuple():
            return [_printable(v) for v in value]
        case _:
            return value
