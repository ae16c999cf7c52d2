"""The bits of the packet mark and of the connection mark that are calicod's own (design 6, steering.md).

Law: the two masks are disjoint, so that a foreign `CONNMARK --restore-mark` cannot forge a verdict.
"""

import msgspec

PACKET_BITS = 4
CONNECTION_BITS = 14
GENERATION_BITS = 9
INTERFACE_BITS = 5
STAGE_BITS = 4

TO_WORKLOAD_ID = 0
"""Interface id of what the host itself sends to its workloads: judged by nobody, so it speaks for no other path."""
LOCAL_ID = 1
"""Interface id of locally generated flows."""
WORKLOAD_ID = 2
"""Interface id shared by all anti-spoofed workloads."""
FIRST_OWN_ID = 3
LAST_OWN_ID = 29
FAILSAFE_ID = 30
"""Interface id in the stamp of a flow that a failsafe let pass; never with a stage bit, so it is never trusted."""
UNMANAGED_ID = 31


class MarkLayout(msgspec.Struct, frozen=True):
    """Every mask, as an integer with its bits in place. Build with `layout`.

    Of the preDNAT stage, `prednat_stage`: asked, and not refused; `prednat_rule`: a rule decided. So the rule's bit
    alone is that of a connection that a change of policy has cut.
    """

    packet_mask: int
    accept: int
    reject: int
    known: int
    prednat: int
    connection_mask: int
    generation: int
    interface: int
    filter_stage: int
    judged: int
    prednat_stage: int
    prednat_rule: int

    @property
    def picked(self) -> int:
        """On its way into a queue of the filter stage: TCP without its SYN, of a connection not known before.

        PREDNAT's bit, which is used up where the filter stage begins.
        """
        return self.prednat

    @property
    def evidence(self) -> int:
        """On its way into a queue, what only the kernel knows of a packet: one of the next three, or none."""
        return self.accept | self.reject

    @property
    def before_tracking(self) -> int:
        """It comes up in raw."""
        return self.reject

    @property
    def untracked(self) -> int:
        """It has no connection."""
        return self.accept

    @property
    def spared(self) -> int:
        """An early rule has allowed its connection."""
        return self.accept | self.reject

    @property
    def spare(self) -> int:
        """A verdict: accepted on the word of an early rule."""
        return self.accept | self.prednat

    def stamp(self, generation: int, interface: int) -> int:
        """Generation and interface id in place, without a stage bit."""
        return spread(generation, self.generation) | spread(interface, self.interface)

    def failsafe(self) -> tuple[int, int]:
        """Mark and mask of the connections that a failsafe let pass, whatever the generation."""
        return self.stamp(0, FAILSAFE_ID), self.interface | self.filter_stage | self.judged


def bits_of(mask: int) -> list[int]:
    """The single bits of a mask, lowest first."""
    return [1 << i for i in range(mask.bit_length()) if mask >> i & 1]


def spread(value: int, mask: int) -> int:
    """`value` laid into the bits of `mask`, lowest first.

    >>> hex(spread(0b101, 0x0f00))
    '0x500'
    """
    return sum(bit for i, bit in enumerate(bits_of(mask)) if value >> i & 1)


def gather(mark: int, mask: int) -> int:
    """The inverse of `spread`."""
    return sum(1 << i for i, bit in enumerate(bits_of(mask)) if mark & bit)


def layout(packet_mask: int = 0xF0000000, connection_mask: int = 0x0FFF3F00) -> MarkLayout:
    """The layout of steering.md for the default masks, and its like for others. Raises ValueError.

    Packet: ACCEPT, REJECT, KNOWN, PREDNAT from the lowest bit up. Connection, from the lowest: interface id (5),
    filter stage (1), generation (9, or what a narrower mask leaves: 5 at least), preDNAT by a rule (1), judged earlier
    (1), preDNAT (1).
    """
    if packet_mask & connection_mask:
        raise ValueError("packet_mark_mask and connection_mark_mask overlap")
    packet, connection = bits_of(packet_mask), bits_of(connection_mask)
    if len(packet) < PACKET_BITS or packet_mask >> 32:
        raise ValueError(f"packet_mark_mask needs {PACKET_BITS} bits of 32")
    if len(connection) < CONNECTION_BITS or connection_mask >> 32:
        raise ValueError(f"connection_mark_mask needs {CONNECTION_BITS} bits of 32")
    first = INTERFACE_BITS + 1
    last = first + min(GENERATION_BITS, len(connection) - INTERFACE_BITS - STAGE_BITS)
    return MarkLayout(
        packet_mask=packet_mask,
        accept=packet[0],
        reject=packet[1],
        known=packet[2],
        prednat=packet[3],
        connection_mask=connection_mask,
        interface=sum(connection[:INTERFACE_BITS]),
        filter_stage=connection[INTERFACE_BITS],
        generation=sum(connection[first:last]),
        prednat_rule=connection[last],
        judged=connection[last + 1],
        prednat_stage=connection[last + 2],
    )
