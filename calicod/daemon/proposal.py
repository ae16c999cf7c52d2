"""What `apply`, `confirm` and `rollback` ask of the daemon, and what they are answered.

Law: plain values, encoded as they are by the control socket; the commands print them and add nothing.
"""

import msgspec

from calicod.daemon.state import LiveFlow, TrialState
from calicod.errors import CalicodError, Diagnostic
from calicod.model.decision import PolicyReference


class Document(msgspec.Struct, frozen=True):
    """A file of a set: its path below the policy folder, and its text."""

    name: str
    text: str


class Session(msgspec.Struct, frozen=True):
    """The connection by which the operator is here, as this host sees it."""

    src_ip: str
    src_port: int
    dst_ip: str
    dst_port: int

    def __str__(self) -> str:
        source, destination = (f"[{ip}]" if ":" in ip else ip for ip in (self.src_ip, self.dst_ip))
        return f"{source}:{self.src_port} -> {destination}:{self.dst_port}"


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A set to be looked at, or applied; `confirm_within` None: at once for good."""

    documents: tuple[Document, ...]
    session: Session | None = None
    confirm_within: float | None = None


class Refusal(msgspec.Struct, frozen=True):
    """Why nothing was done."""

    code: str
    message: str
    hint: str | None = None
    exit_code: int = 1

    @classmethod
    def of(cls, error: CalicodError) -> "Refusal":
        """The same, as a value."""
        return cls(error.code, error.message, error.hint, error.exit_code)

    def error(self) -> CalicodError:
        """The same, to be raised."""
        return CalicodError(self.code, self.message, hint=self.hint, exit_code=self.exit_code)


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A live allowed flow that the set would refuse: `flow.policy` allows it, `policy` would not."""

    flow: LiveFlow
    session: bool
    reason: str
    policy: PolicyReference | None


class Prospect(msgspec.Struct, frozen=True, kw_only=True):
    """What a set would change. `cuts`: the session first, then the busiest; `cut` counts all of them.

    `flows`: live allowed ones that were judged; `unjudged`: those whose path is not certain, or for which there was no
    time. `resets`: what is cut is over for good.
    `session` None: none was named; "allow", "deny", or "unknown" when its path is not certain.
    """

    refusal: Refusal | None = None
    rejected: tuple[Diagnostic, ...] = ()
    cuts: tuple[Cut, ...] = ()
    cut: int = 0
    flows: int = 0
    unjudged: int = 0
    session: str | None = None
    resources: int = 0
    endpoints: int = 0
    files: tuple[str, ...] = ()
    resets: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `apply`, `confirm` and `rollback`: what is in force now, or why nothing was done.

    `done`: applied, confirmed or rolled-back. `edited`: files that were changed during a trial and are replaced now.
    """

    done: str = ""
    refusal: Refusal | None = None
    rejected: tuple[Diagnostic, ...] = ()
    revision: int = 0
    generation: int = 0
    trial: TrialState | None = None
    edited: tuple[str, ...] = ()
