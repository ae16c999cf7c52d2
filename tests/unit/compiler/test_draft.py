"""Drafts keep their answers and never give a wrong one."""

from msgspec.structs import replace

from calicod.compiler.draft import Numbers, PolicyDraft, profile_draft
from calicod.compiler.ipsets import nets_set, selector_set
from calicod.compiler.memory import Memo
from calicod.compiler.population import Population, census
from calicod.resources.snapshot import snapshot
from calicod.selector.parser import parse
from tests.unit.compiler.build import NODE, entity, net, policy, profile, rule, workload

WRITTEN = policy(selector="has(x)", ingress=(rule(source=entity("has(a)")),))


def population(*resources) -> Population:
    return Population(census(snapshot(resources), NODE, spoofing=False), Memo())


def test_sets_are_numbered_by_first_use():
    numbers = Numbers()
    one, two = selector_set(parse("has(a)")), nets_set([net("10.0.0.0/8")])

    assert (numbers.of((one,)), numbers.of((two, one)), numbers.of((two,))) == ((0,), (1, 0), (1,))
    assert numbers.definitions() == (one, two)


def test_a_policy_that_governs_nobody_asks_for_no_sets():
    numbers = Numbers()

    compiled = PolicyDraft(WRITTEN).compiled(population(workload()), numbers)

    assert compiled.ingress[0].families == 0
    assert numbers.definitions() == ()


def test_a_draft_follows_the_population():
    draft, numbers = PolicyDraft(WRITTEN), Numbers()
    draft.compiled(population(workload()), numbers)

    compiled = draft.compiled(population(workload(labels={"x": ""})), numbers)

    assert compiled.ingress[0].source_sets == (0,)


def test_a_draft_follows_the_numbers_and_keeps_what_did_not_change():
    draft, here = PolicyDraft(WRITTEN), population(workload(labels={"x": ""}))
    shifted = Numbers()
    shifted.of((selector_set(parse("has(b)")),))

    first = draft.compiled(here, Numbers())

    assert draft.compiled(here, Numbers()) is first
    assert draft.compiled(here, shifted).ingress[0].source_sets == (1,)
    assert draft.compiled(here, Numbers()) == first


def test_a_profile_that_nobody_wrote_denies():
    assert profile_draft("p", profile("p")).numbered(Numbers()).ingress == ()
    assert profile_draft("p", None).numbered(Numbers()).ingress != ()


def test_a_draft_knows_of_its_policy_what_lints_ask():
    log, deny = rule("Log"), rule("Deny")
    draft = PolicyDraft(policy(ingress=(log,), egress=(deny, deny), governs_egress=True))

    assert (draft.is_enforced, draft.only_logs, draft.dns) == (True, (True, False), "refuses")
    assert [d.code for d in draft.warnings] == ["W059"]
    assert not PolicyDraft(replace(draft.policy, kind="StagedGlobalNetworkPolicy", staged_action="Set")).is_enforced


def test_a_policy_of_another_node_has_subjects_but_governs_nobody_here():
    draft = PolicyDraft(policy(selector="app == 'far'"))
    far = population(workload(node="n2", labels={"app": "far"}))

    assert (draft.governed(far), draft.has_subjects(far)) == (0, True)
    assert not draft.has_subjects(population(workload()))
