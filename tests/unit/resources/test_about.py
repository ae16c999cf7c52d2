from calicod.resources.about import ABOUT
from calicod.resources.endpoints import HOST, WORKLOAD
from calicod.resources.felix import APPLIED, FELIX
from calicod.resources.knpspec import SPEC
from calicod.resources.metadata import METADATA
from calicod.resources.policies import GLOBAL
from calicod.resources.profiles import PROFILE
from calicod.resources.rules import ENTITY, RULE
from calicod.resources.sets import SET
from calicod.resources.staged import ACTION
from calicod.resources.tiers import TIER

FIELDS = {"apiVersion", "kind", "metadata"}.union(
    METADATA, GLOBAL, ACTION, SPEC, RULE, ENTITY, TIER, SET, HOST, WORKLOAD, PROFILE, FELIX
)


def test_whatever_is_told_of_is_a_field():
    assert set(ABOUT) <= FIELDS


def test_every_field_of_policies_and_rules_is_told_of():
    assert set(GLOBAL) | set(RULE) | set(ENTITY) <= set(ABOUT)


def test_a_telling_is_a_sentence_of_one_line():
    assert all(text.endswith(".") and "\n" not in text and len(text) <= 120 for text in ABOUT.values())
    assert {"selector", "interfacePrefix"} <= set(ABOUT) & (set(APPLIED) | set(GLOBAL))
