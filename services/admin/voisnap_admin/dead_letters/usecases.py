"""What operators do with events that were given up. Replaying and deleting is noted in the audit log together with the deed."""

from voisnap_domain.errors import NotFound
from voisnap_domain.ids import TenantId
from voisnap_kit.bus import DeadLetter, DeadLetters
from voisnap_kit.work import Work

from voisnap_admin.audit import usecases as audit


async def list_letters(
    work: Work, letters: DeadLetters, *, consumer: str | None, after: int, limit: int
) -> tuple[list[DeadLetter], int]:
    """Letters behind one, the oldest first, and how many there are."""
    _require(work, "admin:read")
    return await letters.dead_letters(consumer=consumer, after=after, limit=limit)


async def get_letter(work: Work, letters: DeadLetters, sequence: int) -> DeadLetter:
    """One letter. Raises NotFound."""
    _require(work, "admin:read")
    return await _found(letters, sequence)


async def replay_letter(work: Work, letters: DeadLetters, sequence: int) -> DeadLetter:
    """Deliver an event again to the consumer that gave it up. Raises NotFound."""
    _require(work, "admin:write")
    letter = await _found(letters, sequence)
    await _note(work, "dead_letter.replayed", letter)
    if not await letters.replay(sequence):
        raise _missing(sequence)
    return letter


async def discard_letter(work: Work, letters: DeadLetters, sequence: int) -> None:
    """Throw a letter away. Raises NotFound."""
    _require(work, "admin:write")
    letter = await _found(letters, sequence)
    await _note(work, "dead_letter.deleted", letter)
    if not await letters.discard(sequence):
        raise _missing(sequence)


async def _found(letters: DeadLetters, sequence: int) -> DeadLetter:
    letter = await letters.dead_letter(sequence)
    if letter is None:
        raise _missing(sequence)
    return letter


async def _note(work: Work, action: str, letter: DeadLetter) -> None:
    await audit.record_change(
        work, action, target_id=str(letter.sequence), tenant_id=TenantId(letter.tenant_id), before=None, after=letter
    )


def _missing(sequence: int) -> NotFound:
    return NotFound("dead letter", str(sequence), detail=f"No dead letter with the number {sequence} found.")


def _require(work: Work, scope: str) -> None:
    work.caller.require_platform_admin()
    work.caller.require(scope)
