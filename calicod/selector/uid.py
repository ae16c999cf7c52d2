"""The name of a selector that is the same for all its spellings.

Law: depends on the canonical text alone, as Calico's does, so that sets can be compared with Felix's.
"""

from base64 import urlsafe_b64encode
from hashlib import sha224

from calicod.selector.tree import Selector


def uid(selector: Selector) -> str:
    """Calico's unique id of a selector (semantics 3.5).

    >>> from calicod.selector.tree import All
    >>> uid(All())
    's:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug'
    """
    digest = sha224(f"s:{selector}".encode("utf-8", "surrogatepass")).digest()
    return "s:" + urlsafe_b64encode(digest).rstrip(b"=").decode()
