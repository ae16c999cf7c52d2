"""`calicod doctor`: can this host do it, and what would disturb it."""

from calicod.cli.doctor.visit import command

__all__ = ["command"]
