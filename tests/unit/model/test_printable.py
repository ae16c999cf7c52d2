import msgspec

from calicod.model.printable import encode_printable


def test_text_that_is_not_unicode_is_shown_with_backslashes_wherever_it_stands():
    value = {"a\udcff": ["b\udcff", ("c\udcff", 1, None)]}

    assert msgspec.json.decode(encode_printable(value)) == {"a\\udcff": ["b\\udcff", ["c\\udcff", 1, None]]}


def test_other_text_is_as_it_is():
    assert encode_printable({"a": "ä\n"}) == '{"a":"ä\\n"}'.encode()
