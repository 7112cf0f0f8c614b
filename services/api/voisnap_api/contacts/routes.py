"""`/api/v1/contacts`."""

from typing import Annotated

from litestar import Controller, delete, get, patch
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UnsetType
from voisnap_domain.ids import ContactId
from voisnap_domain.sessions import Channel
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.work import begin, begin_reading

from voisnap_api.auth.scopes import DELETE_CONVERSATIONS
from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires

from . import usecases
from .records import ContactFilter
from .schemas import ContactPatch, ContactView, OptedOutPatch


class ContactController(Controller):
    """People who called or wrote, one contact each, whatever the channel."""

    path = "/api/v1/contacts"
    tags = ("Messaging",)

    @get("/", guards=[requires("conversations:read")], opt={"policy": API_READ_HEAVY})
    async def list_contacts(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        paging: InjectedPageQuery,
        search: Annotated[
            str | None,
            QueryParameter(max_length=100, description="A part of the name, or the beginning of a number or id"),
        ] = None,
        phone_number: Annotated[
            str | None, QueryParameter(name="phoneNumber", max_length=20, description="In E.164 form")
        ] = None,
    ) -> Page[ContactView]:
        """List contacts, those first who were there last."""
        wanted = ContactFilter(search=search or None, phone_number=phone_number or None)
        async with begin_reading(database, caller) as work:
            found, total = await usecases.list_contacts(work, wanted, limit=paging.page_size, offset=paging.offset)
        return Page.of([ContactView.of(one) for one in found], paging, total)

    @get("/{contact_id:str}", guards=[requires("conversations:read")])
    async def read(self, contact_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase) -> ContactView:
        """One contact, with all it is known by and where it wants no messages."""
        async with begin_reading(database, caller) as work:
            return ContactView.of(await usecases.get_contact(work, ContactId(contact_id)))

    @patch("/{contact_id:str}", guards=[requires("conversations:write")])
    async def change(
        self,
        contact_id: FromPath[str],
        data: JSONBody[ContactPatch],
        caller: InjectedCaller,
        database: InjectedDatabase,
    ) -> ContactView:
        """Say who somebody is, or that they want no messages on a channel, or want them again."""
        async with begin(database, caller) as work:
            known = await usecases.change_contact(
                work,
                ContactId(contact_id),
                name=None if isinstance(data.name, UnsetType) else data.name,
                language=None if isinstance(data.language, UnsetType) else data.language,
                notes=None if isinstance(data.notes, UnsetType) else data.notes,
                opted_out=None if isinstance(data.opted_out, UnsetType) else _channels(data.opted_out),
            )
        return ContactView.of(known)

    @delete("/{contact_id:str}", guards=[requires(DELETE_CONVERSATIONS)])
    async def remove(self, contact_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase) -> None:
        """Forget somebody: all they are known by, their threads and messages. Conversations are deleted one by one.

        Who wanted no messages gets none afterwards either: of that only a digest of the address is kept.
        """
        async with begin(database, caller) as work:
            await usecases.delete_contact(work, ContactId(contact_id))


def _channels(patch: OptedOutPatch) -> dict[Channel, bool]:
    pairs = ((Channel.SMS, patch.sms), (Channel.WHATSAPP, patch.whatsapp), (Channel.TELEGRAM, patch.telegram))
    return {channel: wanted for channel, wanted in pairs if not isinstance(wanted, UnsetType)}
