from collections import Counter

from calicod.fields.criteria import CompiledRule
from calicod.fields.table import FIELDS

NO_CRITERIA = {"action", "index", "place"}


def test_every_criterion_of_a_rule_is_claimed_by_exactly_one_field():
    claimed = Counter(attribute for field in FIELDS for attribute in field.attributes)

    assert set(claimed) == set(CompiledRule.__struct_fields__) - NO_CRITERIA
    assert set(claimed.values()) == {1}
