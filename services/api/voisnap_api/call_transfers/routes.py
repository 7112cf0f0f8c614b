"""`/api/v1/conversations/{id}/transfer` and `…/transfers`."""

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, SkipValidation
from voisnap_domain.calls import TransferStage
from voisnap_domain.ids import ConversationId
from voisnap_kit.bus import Bus
from voisnap_kit.work import begin

from voisnap_api.gate import InjectedCaller, InjectedDatabase, requires

from . import clients, usecases
from .schemas import TransferCallBody, TransferStarted, TransfersView, TransferView

InjectedBus = NamedDependency[SkipValidation[Bus]]


class CallTransferController(Controller):
    """Calls that are handed over to somebody."""

    path = "/api/v1/conversations"
    tags = ("Conversations",)

    @post("/{conversation_id:str}/transfer", status_code=202, guards=[requires("conversations:write")])
    async def transfer(
        self,
        conversation_id: FromPath[str],
        data: JSONBody[TransferCallBody],
        caller: InjectedCaller,
        database: InjectedDatabase,
        bus: InjectedBus,
    ) -> TransferStarted:
        """Hand a telephone call that goes on over to somebody. 409 `not-transferable` for anything else, `transfer-in-progress` while another
        transfer of the call is under way; 404 `transfer-target-not-found` for a target that the agent has not; 422
        `number-not-allowed` for premium-rate numbers and their like, `country-not-allowed` for countries that are neither those of the tenant's
        numbers nor in `allowedCountries` of PUT /api/v1/outbound-calls/settings; agents have no such targets either."""
        async with begin(database, caller) as work:
            conversation = await usecases.ask(work, ConversationId(conversation_id))
            wanted = data.wanted(conversation.environment)
            await usecases.check_destination(work, conversation, data.phone_number)
        transfer_id = await clients.transfer(bus, conversation.session_id, wanted)
        return TransferStarted(transfer_id=transfer_id, conversation_id=conversation_id, status=TransferStage.INITIATED)

    @get("/{conversation_id:str}/transfers", guards=[requires("conversations:read")])
    async def transfers(
        self, conversation_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> TransfersView:
        """Get what became of a call's transfers."""
        async with begin(database, caller) as work:
            found = await usecases.list_transfers(work, ConversationId(conversation_id))
        return TransfersView(
            conversation_id=conversation_id, transfers=tuple(TransferView.of(transfer) for transfer in found)
        )
