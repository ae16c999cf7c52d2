"""`calicod demo`: the examples, with a real daemon and real packets, in network namespaces of its own."""

from calicod.cli.demo.tour import command

__all__ = ["command"]
