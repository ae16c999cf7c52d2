import io
import subprocess
import sys

from calicod.eventlog.console import ConsoleSettings, ConsoleSink
from calicod.eventlog.sink import Shortfall

LINE = b'{"event":"daemon.recovered","version":1,"time":"2026-01-02T03:04:05.678901Z","node":"n"}\n'


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(form: str, stream: io.StringIO) -> str:
    assert ConsoleSink(ConsoleSettings(form), stream).write([LINE]) is None
    return stream.getvalue()


def test_a_terminal_gets_colour_and_anything_else_the_line_itself():
    assert "\x1b[" in written("auto", Terminal())
    assert written("auto", io.StringIO()) == LINE.decode()


def test_the_format_can_be_chosen_against_what_the_stream_is():
    assert written("json", Terminal()) == LINE.decode()
    assert written("console", io.StringIO()) == "03:04:05.678 daemon.recovered\n"


def test_a_long_line_is_not_wrapped():
    stream = io.StringIO()
    line = LINE.replace(b'"n"', b'"n","what":"' + b"word " * 100 + b'"')

    ConsoleSink(ConsoleSettings("console"), stream).write([line])

    assert stream.getvalue().count("\n") == 1


def test_a_stream_that_was_closed_loses_lines_and_raises_nothing():
    stream = io.StringIO()
    stream.close()

    shortfall = ConsoleSink(ConsoleSettings(), stream).write([LINE, LINE])

    assert shortfall == Shortfall(2, "console: I/O operation on closed file.")


def test_rich_is_imported_only_by_whoever_needs_it():
    code = "import sys, calicod.eventlog.table; assert not any(m.startswith('rich') for m in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0
