"""The name of a selector that is the same for all its spellings."""

from calicod.selector.parser import parse
from calicod.selector.uid import uid


def test_the_uid_of_all_is_calicos():
    assert uid(parse("")) == "s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug"


def test_spellings_of_one_selector_share_a_uid():
    assert uid(parse("a in {'c','b'}")) == uid(parse(' (a in {"b", "c",}) ')) != uid(parse("a in {'b'}"))


def test_a_text_that_is_no_unicode_has_a_uid_too():
    assert uid(parse("a == '\ud800'")).startswith("s:")
