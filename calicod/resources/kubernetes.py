"""Namespace and ServiceAccount: the profiles through which endpoints inherit their labels (semantics 1.12).

Law: a Namespace allows everything to its endpoints that no tier has judged; a ServiceAccount has no rules.
"""

from calicod.model.action import Action
from calicod.resources.kinds import Metadata, Profile, Rule
from calicod.resources.report import Report

NAMESPACE_PROFILE = "kns."
ACCOUNT_PROFILE = "ksa."
NAMESPACE_LABEL = "pcns."
ACCOUNT_LABEL = "pcsa."
_NAME_LABEL = "projectcalico.org/name"


def namespace(metadata: Metadata, report: Report) -> Profile:
    """The profile `kns.<namespace>`."""
    allow = (Rule(action=Action.ALLOW, place=report.place(report.root)),)
    return Profile(
        metadata=Metadata(name=NAMESPACE_PROFILE + metadata.name),
        ingress=allow,
        egress=allow,
        labels_to_apply=_inherited(NAMESPACE_LABEL, metadata),
        place=report.place(report.root),
    )


def service_account(metadata: Metadata, report: Report) -> Profile:
    """The profile `ksa.<namespace>.<name>`."""
    return Profile(
        metadata=Metadata(name=f"{ACCOUNT_PROFILE}{metadata.namespace}.{metadata.name}"),
        labels_to_apply=_inherited(ACCOUNT_LABEL, metadata),
        place=report.place(report.root),
    )


def namespace_identity(report: Report) -> None:
    """What is said of a Namespace bears the name of its profile."""
    report.name = report.name and NAMESPACE_PROFILE + report.name


def account_identity(report: Report) -> None:
    """What is said of a ServiceAccount bears the name of its profile, which has no namespace."""
    report.name = report.name and f"{ACCOUNT_PROFILE}{report.namespace}.{report.name}"
    report.namespace = ""


def _inherited(prefix: str, metadata: Metadata) -> dict[str, str]:
    labels = {prefix + key: value for key, value in metadata.labels.items()}
    return labels | {prefix + _NAME_LABEL: metadata.name}
