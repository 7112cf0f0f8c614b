"""Stateful reconnect: what both ends keep so that a broken WebSocket loses nothing and repeats nothing.

Each end counts its own messages of the types 1 to 5 from 1 on; no number travels with them. `Ack(n)` frees what the
sender keeps, up to number n. On a new socket each end first sends `Sequence(n)`, the number of the first message it
sends again, and the other end counts on from there and drops what it had already. (The specification's text calls n
"the next new id"; under that rule counting cannot work, and no implementation follows it.)
"""

from collections import deque

from .messages import (
    Ack,
    CancelInvocation,
    Completion,
    HubMessage,
    Invocation,
    ProtocolError,
    SequenceStart,
    StreamInvocation,
    StreamItem,
)

TRACKED = (Invocation, StreamInvocation, StreamItem, Completion, CancelInvocation)


class SentMessages:
    """The records that the peer has not acknowledged. `max_bytes` is where the sender begins to wait for it."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._records: deque[bytes] = deque()
        self._bytes = 0
        self._last_id = 0

    @property
    def is_full(self) -> bool:
        return self._bytes >= self._max_bytes

    def add(self, record: bytes) -> None:
        """Remember the next message."""
        self._records.append(record)
        self._bytes += len(record)
        self._last_id += 1

    def acknowledge(self, sequence_id: int) -> None:
        """Forget everything up to this message; a number that was acknowledged before, or never sent, is fine."""
        first_id = self._last_id - len(self._records) + 1
        for _ in range(min(sequence_id - first_id + 1, len(self._records))):
            self._bytes -= len(self._records.popleft())

    def replay(self) -> tuple[SequenceStart, list[bytes]]:
        """What a new socket begins with."""
        return SequenceStart(sequence_id=self._last_id - len(self._records) + 1), list(self._records)


class ReceivedMessages:
    """Counts what arrives, and says what is new."""

    def __init__(self) -> None:
        self._next_id = 1
        self._latest_id = 0
        self._acknowledged_id = 0
        self._awaits_sequence = False

    def admits(self, message: HubMessage) -> bool:
        """Whether to act on a message. Raises `ProtocolError` for a sequence that skips messages."""
        if isinstance(message, SequenceStart):
            if message.sequence_id > self._next_id:
                raise ProtocolError("Sequence ID greater than amount of messages we've received.")
            self._next_id = message.sequence_id
            self._awaits_sequence = False
            return False
        if self._awaits_sequence:
            return False
        if not isinstance(message, TRACKED):
            return True
        this_id, self._next_id = self._next_id, self._next_id + 1
        if this_id <= self._latest_id:
            return False
        self._latest_id = this_id
        return True

    def expect_sequence(self) -> None:
        """The socket is a new one: the peer says first where it goes on, and what it repeats is acknowledged again."""
        self._awaits_sequence = True
        self._acknowledged_id = 0

    def acknowledgement(self) -> Ack | None:
        """What to tell the peer now; None when it knows already."""
        if self._latest_id == self._acknowledged_id or self._awaits_sequence:
            return None
        self._acknowledged_id = self._latest_id
        return Ack(sequence_id=self._latest_id)
