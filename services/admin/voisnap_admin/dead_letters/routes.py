"""`/api/v1/admin/dead-letters`."""

from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter, SkipValidation
from voisnap_kit.bus import DeadLetters
from voisnap_kit.postgres import Database
from voisnap_kit.work import begin

from voisnap_admin.auth import InjectedCaller

from . import usecases
from .schemas import DeadLettersView, DeadLetterView

InjectedDatabase = NamedDependency[Database]
InjectedBus = NamedDependency[SkipValidation[DeadLetters]]

_CONSUMER = r"^[A-Za-z0-9_-]{1,64}$"


class DeadLetterController(Controller):
    """Events that a service gave up after its last attempt. They are kept for 30 days."""

    path = "/api/v1/admin/dead-letters"
    tags = ("Dead letters",)

    @get()
    async def list_letters(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        bus: InjectedBus,
        consumer: Annotated[
            str | None, QueryParameter(pattern=_CONSUMER, description="Only what this consumer gave up")
        ] = None,
        page_size: Annotated[int, QueryParameter(name="pageSize", ge=1, le=100, description="How many at most")] = 20,
        cursor: Annotated[int, QueryParameter(ge=0, le=2**53, description="`nextCursor` of the page before")] = 0,
    ) -> DeadLettersView:
        """List dead letters, the oldest first."""
        async with begin(database, caller) as work:
            found, total = await usecases.list_letters(work, bus, consumer=consumer, after=cursor, limit=page_size)
        last = str(found[-1].sequence) if len(found) == page_size else None
        return DeadLettersView(data=tuple(DeadLetterView.of(letter) for letter in found), total=total, next_cursor=last)

    @get("/{sequence:int}")
    async def get_letter(
        self, sequence: FromPath[int], caller: InjectedCaller, database: InjectedDatabase, bus: InjectedBus
    ) -> DeadLetterView:
        """One dead letter."""
        async with begin(database, caller) as work:
            return DeadLetterView.of(await usecases.get_letter(work, bus, sequence))

    @post("/{sequence:int}/replay", status_code=202)
    async def replay(
        self, sequence: FromPath[int], caller: InjectedCaller, database: InjectedDatabase, bus: InjectedBus
    ) -> DeadLetterView:
        """Deliver the event again to the consumer that gave it up. It comes back here if it is given up again."""
        async with begin(database, caller) as work:
            return DeadLetterView.of(await usecases.replay_letter(work, bus, sequence))

    @delete("/{sequence:int}", status_code=204)
    async def discard(
        self, sequence: FromPath[int], caller: InjectedCaller, database: InjectedDatabase, bus: InjectedBus
    ) -> None:
        """Throw the event away."""
        async with begin(database, caller) as work:
            await usecases.discard_letter(work, bus, sequence)
