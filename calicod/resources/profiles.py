"""Profile (semantics 1.9): rules after all tiers, and labels for those that list it.

Law: rules of a profile are checked like those of a policy (D34).
"""

from collections.abc import Callable

from calicod.model.action import Action
from calicod.resources.document import Mapping
from calicod.resources.kinds import Metadata, Profile
from calicod.resources.names import labels
from calicod.resources.report import Report
from calicod.resources.rules import rules
from calicod.resources.shapes import shaped
from calicod.resources.table import Field, Fields, find, mapping, read

DEFAULT_ALLOW = "projectcalico-default-allow"
PROFILE: Fields = {
    "ingress": Field("ingress", rules("ingress")),
    "egress": Field("egress", rules("egress")),
    "labelsToApply": Field("labels_to_apply", labels("P032")),
}


@shaped(lambda: mapping(PROFILE))
def profile(spec: Mapping, metadata: Metadata, report: Report) -> Profile:
    """A profile of the user's; the built-in one cannot be written."""
    values = read(spec, PROFILE, report)
    if metadata.name == DEFAULT_ALLOW:
        report.error("P032", report.root, f"profile {DEFAULT_ALLOW} is built in and cannot be written")
    make: Callable[..., Profile] = Profile
    found = make(**values, metadata=metadata, place=report.place(report.root))
    for direction in ("ingress", "egress"):
        if not report.refused:
            _warn_of_pass(found, spec, direction, report)
    return found


def _warn_of_pass(found: Profile, spec: Mapping, direction: str, report: Report) -> None:
    """Pass in a profile goes on with the next profile (D10), which few expect."""
    for index, rule in enumerate(getattr(found, direction)):
        if rule.action is Action.PASS:
            node = find(spec, direction)
            place = node.value[index] if node is not None else spec
            report.warning("W007", place, "Pass in a profile goes on with the next profile, not with the next tier")
