"""What WhatsApp's webhooks say, as Meta's Graph API writes it: one envelope, many entries, each with many messages and statuses.

https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components
"""

import msgspec


class Profile(msgspec.Struct):
    name: str | None = None
    username: str | None = None


class Contact(msgspec.Struct):
    """`user_id` is business-scoped (BSUID); `wa_id`, a telephone number, is missing for those who hide theirs."""

    profile: Profile = msgspec.field(default_factory=Profile)
    wa_id: str | None = None
    user_id: str | None = None


class Text(msgspec.Struct):
    body: str = ""


class Media(msgspec.Struct):
    id: str = ""
    mime_type: str = ""
    caption: str | None = None
    filename: str | None = None
    voice: bool = False


class Reply(msgspec.Struct):
    id: str = ""
    title: str = ""


class Interactive(msgspec.Struct):
    button_reply: Reply | None = None
    list_reply: Reply | None = None


class Button(msgspec.Struct):
    text: str = ""


class Reaction(msgspec.Struct):
    message_id: str = ""
    emoji: str | None = None


class Context(msgspec.Struct):
    id: str | None = None


class System(msgspec.Struct):
    type: str = ""
    wa_id: str | None = None
    new_wa_id: str | None = None
    customer: str | None = None
    user_id: str | None = None


class Edit(msgspec.Struct):
    original_message_id: str = ""
    message: msgspec.Raw = msgspec.Raw(b"{}")


class Message(msgspec.Struct):
    id: str = ""
    timestamp: str | int = ""
    type: str = ""
    sender: str | None = msgspec.field(name="from", default=None)
    sender_user_id: str | None = msgspec.field(name="from_user_id", default=None)
    group_id: str | None = None
    context: Context | None = None
    text: Text | None = None
    interactive: Interactive | None = None
    button: Button | None = None
    audio: Media | None = None
    image: Media | None = None
    video: Media | None = None
    document: Media | None = None
    sticker: Media | None = None
    reaction: Reaction | None = None
    system: System | None = None
    edit: Edit | None = None


class Fault(msgspec.Struct):
    code: int | str = 0


class Pricing(msgspec.Struct):
    billable: bool | None = None
    category: str = ""


class Status(msgspec.Struct):
    id: str
    status: str
    timestamp: str | int = ""
    errors: list[Fault] | None = None
    pricing: Pricing | None = None
    biz_opaque_callback_data: str | None = None


class Metadata(msgspec.Struct):
    phone_number_id: str = ""


class Value(msgspec.Struct):
    metadata: Metadata = msgspec.field(default_factory=Metadata)
    contacts: list[Contact] = []
    messages: list[Message] = []
    statuses: list[Status] = []


class Change(msgspec.Struct):
    field: str = ""
    value: msgspec.Raw = msgspec.Raw(b"{}")


class Entry(msgspec.Struct):
    changes: list[Change] = []


class Envelope(msgspec.Struct):
    object: str
    entry: list[Entry] = []


ENVELOPES = msgspec.json.Decoder(Envelope)
VALUES = msgspec.json.Decoder(Value)
MESSAGES = msgspec.json.Decoder(Message)
