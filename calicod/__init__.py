"""calicod: a host packet filter that speaks Calico policy.

Law: importing this package imports nothing else.
"""

__version__ = "0.1.0"
