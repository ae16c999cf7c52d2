"""The daemon's own log: structlog on stderr, for people on a terminal and as JSON elsewhere.

Law: the event is a constant `noun.participle`, the facts are fields; nothing is logged per packet; no secrets, no
payloads.
"""

import logging
import sys

FORMATS = ("auto", "console", "json")
LEVELS = ("debug", "info", "warning", "error")


def configure(level: str, form: str) -> None:
    """Sets up structlog once per process. `form` auto: console on a terminal, else json."""
    import structlog  # the keeper, which logs nothing, begins 70 ms earlier without it

    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
