"""Who a test means by a name: `namespace/pod`, a host endpoint, or a name that the file gives.

Law: a name means one, or it is an error; nothing is looked up outside the test.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from calicod.cli.policytest.suite import Suite
from calicod.model.network import V4_LENGTH, family_of, format_address, parse_address
from calicod.resources.kinds import HostEndpoint, WorkloadEndpoint

Addresses = dict[int, bytes]
"""By family."""


class Names:
    """Everybody of a suite who has a name."""

    def __init__(self, suite: Suite) -> None:
        self._found: dict[str, dict[str, Addresses]] = {}
        interfaces = {interface.name: interface.addresses for interface in suite.interfaces or ()}
        for name, addresses in suite.addresses.items():
            self._add(name, "addresses", addresses)
        for one in suite.resources:
            if isinstance(one, WorkloadEndpoint):
                for name in (one.workload, one.metadata.name):
                    self._add(f"{one.metadata.namespace}/{name}", one.metadata.name, one.ip_networks)
            elif isinstance(one, HostEndpoint):
                addresses = one.expected_ips or interfaces.get(one.interface_name, ())
                self._add(one.metadata.name, one.metadata.name, addresses)

    def _add(self, name: str, owner: str, addresses: Iterable[bytes]) -> None:
        by_family: Addresses = {}
        for address in addresses:
            by_family.setdefault(family_of(address), address)
        self._found.setdefault(name, {})[owner] = by_family

    def addresses(self, text: str) -> Addresses:
        """The addresses of a name, or the address that the text is. Raises ValueError."""
        try:
            address = parse_address(text)
        except ValueError:
            return self._named(text)
        return {4 if len(address) == V4_LENGTH else 6: address}

    def _named(self, text: str) -> Addresses:
        owners = self._found.get(text, {})
        if len(owners) == 1:
            (found,) = owners.values()
            if not found:
                raise ValueError(f'"{text}" has no address: give it one under interfaces: or addresses:')
            return found
        if owners:
            raise ValueError(f'"{text}" may be {" or ".join(sorted(owners))}')
        close = get_close_matches(text[:64], self._found, n=1, cutoff=0.6)
        hint = f"did you mean {close[0]}?" if close else "expected an address, namespace/pod, or a name of addresses:"
        raise ValueError(f'nobody is called "{text}"; {hint}')

    def of(self, address: bytes) -> str:
        """The shortest name of an address; the address itself without one."""
        names = [name for name, owners in self._found.items() for known in owners.values() if address in known.values()]
        return min(names, key=lambda name: (len(name), name), default=format_address(address))
