"""One policy or profile on its way into a RuleSet, with what was worked out about it so far.

Law: everything here follows from the policy and from what each call is given; the draft only keeps the last answers.
"""

from functools import cached_property

from calicod.compiler.ipsets import Definition
from calicod.compiler.lints.dns import dns_way
from calicod.compiler.lints.rules import directions, of_policy
from calicod.compiler.order import policy_key
from calicod.compiler.population import Population
from calicod.compiler.rules import Template, idle, missing_profile, numbered, policy_template, profile_template
from calicod.compiler.selectors import policy_selector
from calicod.errors import Diagnostic
from calicod.model.action import Action
from calicod.resources.kinds import Policy, Profile
from calicod.ruleset.program import CompiledPolicy


class Numbers:
    """Gives each IP set its number in the RuleSet, by order of first use."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._definitions: list[Definition] = []

    def of(self, definitions: tuple[Definition, ...]) -> tuple[int, ...]:
        """The numbers of these sets, new or not."""
        for definition in definitions:
            if definition.text not in self._numbers:
                self._numbers[definition.text] = len(self._definitions)
                self._definitions.append(definition)
        return tuple([self._numbers[definition.text] for definition in definitions])

    def definitions(self) -> tuple[Definition, ...]:
        """Every set, by number."""
        return tuple(self._definitions)


class RuleDraft:
    """Rules whose sets get their numbers late; made again only when the numbers change."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._numbers: tuple[int, ...] = tuple(range(len(template.definitions)))
        self._numbered = template.policy

    def numbered(self, numbers: Numbers) -> CompiledPolicy:
        """The policy as it stands in the RuleSet."""
        given = numbers.of(self._template.definitions)
        if given != self._numbers:
            self._numbers, self._numbered = given, numbered(self._template, given)
        return self._numbered


class PolicyDraft:
    """A policy; its rules are compiled only when it governs somebody."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.is_enforced = not policy.is_staged
        self.key = policy_key(policy)
        self._selector = policy_selector(policy)
        self._population: Population | None = None
        self._governed = 0
        self._has_subjects: bool | None = None
        self._rules: RuleDraft | None = None
        self._idle: CompiledPolicy | None = None

    def governed(self, population: Population) -> int:
        """The bits of the subjects that the policy selects."""
        if population is not self._population:
            self._population, self._governed = population, population.governed(self._selector)
            self._has_subjects = None
        return self._governed

    def has_subjects(self, population: Population) -> bool:
        """The policy selects an endpoint of any node."""
        if self.governed(population):
            return True
        if self._has_subjects is None:
            self._has_subjects = population.governs_anybody(self._selector)
        return self._has_subjects

    @cached_property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What is odd about its rules, whoever is there."""
        return of_policy(self.policy)

    @cached_property
    def only_logs(self) -> tuple[bool, bool]:
        """Whether it has rules and all of them log, by direction."""
        return tuple(  # type: ignore[return-value]  # of two directions
            governs and bool(rules) and all(rule.action is Action.LOG for rule in rules)
            for _, governs, rules in directions(self.policy)
        )

    @cached_property
    def dns(self) -> str:
        """What its egress rules may do with DNS, see `lints.dns`."""
        return dns_way(self.policy.egress)

    def compiled(self, population: Population, numbers: Numbers) -> CompiledPolicy:
        """The policy as it stands in the RuleSet."""
        if not self.governed(population):
            if self._idle is None:
                self._idle = idle(self.policy)
            return self._idle
        if self._rules is None:
            self._rules = RuleDraft(policy_template(self.policy))
        return self._rules.numbered(numbers)


def profile_draft(name: str, profile: Profile | None) -> RuleDraft:
    """A profile, or what stands for one that nobody wrote."""
    return RuleDraft(missing_profile(name) if profile is None else profile_template(profile))
