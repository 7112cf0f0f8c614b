"""Messages on a real database: taken down once, answered in order by a runtime, sent once each, and told of as networks tell."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from voisnap_api.contacts import subscribers as contact_subscribers
from voisnap_api.contacts import usecases as contacts
from voisnap_api.contacts.records import ContactFilter, OptOutSource
from voisnap_api.do_not_call import usecases as do_not_call
from voisnap_api.messaging import exchanges, outbox_store, usecases
from voisnap_api.messaging.exchanges import Exchanges
from voisnap_api.messaging.inbound import take_down
from voisnap_api.messaging.media import MediaKeeper
from voisnap_api.messaging.reconcilers import expired_messages
from voisnap_api.messaging.records import MessageFilter
from voisnap_api.messaging.sending import Outbox
from voisnap_api.messaging.voice_notes import Heard
from voisnap_api.outbound_calls import store as outbound_calls_store
from voisnap_api.outbound_calls.records import CallSettings
from voisnap_api.prices.reconcilers import price_catalogue
from voisnap_domain.costs import LegKind, Usage, UsageLeg
from voisnap_domain.errors import Conflict, Invalid, LimitReached
from voisnap_domain.ids import TenantId
from voisnap_domain.sessions import Caller as SessionCaller
from voisnap_domain.sessions import Channel, EndReason
from voisnap_domain.tenants import Environment
from voisnap_domain.texting import Consent, LengthUnit, MediaKind, MessageFailure, MessageState, TextLimit
from voisnap_kit.bus import RequestTimeout
from voisnap_kit.work import Caller, begin, begin_as_system
from voisnap_proto.events import TextRequested
from voisnap_proto.requests import EXCHANGE_TEXT, ExchangeText, TextExchanged
from voisnap_providers.accounts import Account
from voisnap_providers.carriers import CarrierUrls
from voisnap_providers.errors import MessageRefused, MessageUncertain, ProviderError
from voisnap_providers.messengers import NETWORKS, Messenger
from voisnap_providers.ports.messaging import (
    ConsentChanged,
    Correspondent,
    FetchedMedia,
    InboundMessage,
    MessageMedia,
    MessageProgress,
    MessageSent,
    MessagingCapabilities,
    OutgoingMessage,
)
from voisnap_testkit.finished_calls import AGENT_TURN, USER_TURN, Call

pytestmark = pytest.mark.slice

OURS = "+14155550100"
ADA = "+491701234567"
TENANT = TenantId("ten_a")
SYSTEM = Caller.system(TENANT, Environment.LIVE)
PNG = b"\x89PNG\r\n\x1a\n and the rest"


class Network:
    """A messaging network that takes what it is told to take."""

    def __init__(self, provider: str, **capabilities: Any) -> None:
        self.provider = provider
        limit = TextLimit(most=160, unit=LengthUnit.CODE_POINTS)
        self.capabilities = MessagingCapabilities(**({"text": limit} | capabilities))
        self.taken: list[OutgoingMessage] = []
        self.faults: list[Exception] = []
        self.typed: list[str] = []
        self.typing_seen = asyncio.Event()
        self.media: dict[str, bytes | Exception] = {}

    async def send(self, message: OutgoingMessage) -> MessageSent:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        self.taken.append(message)
        return MessageSent(message_id=f"net_{len(self.taken)}")

    async def typing(self, message: InboundMessage) -> None:
        self.typed.append(message.message_id)
        self.typing_seen.set()

    async def mark_read(self, message: InboundMessage) -> None: ...

    async def fetch(self, media: MessageMedia) -> FetchedMedia:
        found = self.media[media.reference]
        if isinstance(found, Exception):
            raise found
        return FetchedMedia(content=found, content_type="audio/ogg")

    async def aclose(self) -> None: ...

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.taken]


class Networks:
    """`messaging.networks.Networks` without accounts."""

    def __init__(self) -> None:
        self.of = {
            "twilio": Network("twilio"),
            "whatsapp": Network("whatsapp", window_seconds=86_400.0, typing_seconds=20.0, templates=True),
            "telegram": Network("telegram", per_chat_seconds=1.0),
        }

    async def messenger(self, work: Any, provider: str, account: str, environment: Environment) -> Messenger:
        return Messenger(
            provider=provider,
            channel=NETWORKS[provider],
            account=Account(id=account, provider=provider),
            webhooks=None,  # type: ignore[arg-type]
            sender=self.of[provider],
        )


class Ear:
    """A recogniser of voice messages that hears what the test says."""

    def __init__(self) -> None:
        self.hears: str | Exception = "I would like a table for two"

    async def transcript(self, plan: Any, content: bytes, credentials: Any = ()) -> Heard:
        if isinstance(self.hears, Exception):
            raise self.hears
        return Heard(
            text=self.hears, legs=(UsageLeg(kind=LegKind.STT, provider="deepgram", model="nova-2", audio_seconds=6.0),)
        )


class Runtime:
    """Answers messages as the test says: with what it was told, or by raising it."""

    def __init__(self) -> None:
        self.asked: list[ExchangeText] = []
        self.answers: list[TextExchanged | Exception] = []
        self.after: asyncio.Event | None = None
        """What it waits for before it answers."""

    async def exchange(self, request: ExchangeText) -> TextExchanged:
        self.asked.append(request)
        if self.after is not None:
            await self.after.wait()
        answer = self.answers.pop(0) if self.answers else TextExchanged(replies=(f"You wrote: {request.text}",))
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def texts(self) -> list[str]:
        return [request.text for request in self.asked]


class Post:
    """Everything between a network and a runtime."""

    def __init__(self, api: Any, agent: dict[str, Any]) -> None:
        self.api = api
        self.agent = agent
        self.networks = Networks()
        self.runtime = Runtime()
        self.ear = Ear()
        self.now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
        clock = lambda: self.now  # noqa: E731
        self.exchanges = Exchanges(api.database, api.bus, self.networks, self.ear, clock=clock)  # type: ignore[arg-type]
        self.outbox = Outbox(api.database, self.networks, CarrierUrls("https://voice.test"), clock=clock)  # type: ignore[arg-type]
        self.keeper = MediaKeeper(api.database, api.blobs, self.networks, clock=clock)  # type: ignore[arg-type]
        self._written = 0

    async def shows(
        self, reference: str, content: bytes | Exception, *, kind: MediaKind = MediaKind.IMAGE, **changes: Any
    ) -> None:
        """Somebody sends something beside words, and all is done that there is to do."""
        self.sms.media[reference] = content
        await self.asks("Look", media=(MessageMedia(kind=kind, reference=reference),), **changes)
        await self.keeper.keep_due()

    async def listed(self) -> dict[str, Any]:
        """The latest message that came, as it is listed."""
        found = await self.api.client.get(
            "/api/v1/messages", params={"direction": "inbound"}, headers=self.api.token("ten_a")
        )
        assert found.status_code == 200, found.text
        return found.json()["data"][0]

    async def ends(self) -> None:
        """The conversation that was asked of last is over."""
        call = Call(agent_id=self.agent["id"])
        call.plan = self.runtime.asked[-1].plan
        for event in (call.started, call.turn(AGENT_TURN), call.turn(USER_TURN), call.ended(usage=Usage())):
            await self.api.tell(msgspec.structs.replace(event, conversation_id=call.plan.conversation_id))

    async def costs(self) -> dict[str, Any]:
        place = f"/api/v1/conversations/{self.runtime.asked[-1].plan.conversation_id}/costs"
        return (await self.api.client.get(place, headers=self.api.token("ten_a"))).json()

    def wanted_in_a_call(self, number: str) -> TextRequested:
        """What an agent in a call wants sent."""
        return TextRequested(
            tenant_id=TENANT,
            environment=Environment.LIVE,
            session_id="call_1",
            conversation_id="conv_call",
            agent_id=self.agent["id"],
            request_id="call_1:1",
            phone_number=number,
            text="Here is the link: https://acme.test/book",
            at=self.now,
        )

    @property
    def sms(self) -> Network:
        return self.networks.of["twilio"]

    async def told(self, *events: Any, provider: str = "twilio", about: str | None = None) -> None:
        """What a network posts."""
        async with begin_as_system(
            self.api.database, Caller.system(TenantId(""), Environment.LIVE), clock=lambda: self.now
        ) as work:
            await take_down(work, provider, "platform", events, about=about)

    def message(
        self, text: str, *, provider: str = "twilio", sender: Correspondent | None = None, **changes: Any
    ) -> InboundMessage:
        self._written += 1
        ours = {"twilio": OURS, "whatsapp": "1122", "telegram": "77"}[provider]
        made = InboundMessage(
            network=NETWORKS[provider],
            message_id=f"in_{self._written}",
            sender=sender or Correspondent(address=ADA, name="Ada", country="DE"),
            recipient=ours,
            text=text,
            at=self.now.timestamp(),
            event_id=f"e_{self._written}",
        )
        return msgspec.structs.replace(made, **changes)

    async def writes(self, text: str, *, provider: str = "twilio", **changes: Any) -> InboundMessage:
        """Somebody writes; nobody has looked yet."""
        message = self.message(text, provider=provider, **changes)
        await self.told(message, provider=provider)
        return message

    async def works(self, *, seconds: float = 5) -> None:
        """The worker does all there is to do so long after."""
        self.now += timedelta(seconds=seconds)
        await self.exchanges.answer_due()
        while await self.outbox.send_due():
            self.now += timedelta(seconds=2)

    async def asks(self, text: str, **changes: Any) -> None:
        """Somebody writes, and is answered."""
        await self.writes(text, **changes)
        await self.works()

    async def messages(self, **wanted: Any) -> list[Any]:
        """What is stored, the oldest first."""
        async with begin(self.api.database, SYSTEM) as work:
            found, _ = await usecases.list_messages(work, MessageFilter(**wanted), limit=100, offset=0)
        return sorted(found, key=lambda message: message.id)

    async def states(self, direction: str = "outbound") -> list[str]:
        return [message.state.value for message in await self.messages(direction=direction)]

    async def contacts(self) -> list[Any]:
        async with begin(self.api.database, SYSTEM) as work:
            return (await contacts.list_contacts(work, ContactFilter(), limit=100, offset=0))[0]


@pytest.fixture
async def post(api):
    agent = await api.add_agent(api.token("ten_a"), channels={"sms": {"idleMinutes": 30}})
    made = Post(api, agent)
    await api.bus.respond(EXCHANGE_TEXT, "runtime", ExchangeText, made.runtime.exchange)
    async with api.database.transaction_as_system() as tx:
        await tx.exec(
            """
            INSERT INTO phone_numbers (id, tenant_id, environment, phone_number, provider, account, country, capabilities, agent_id, source,
                                       status, created_at, updated_at)
            VALUES ('num_1', 'ten_a', 'live', %(ours)s, 'twilio', 'platform', 'US', '{voice,sms}', %(agent)s, 'purchase', 'active', now(), now())
            """,
            ours=OURS,
            agent=agent["id"],
        )
        abroad = CallSettings(allowed_countries=("DE",))
        await outbound_calls_store.put_settings(tx, TENANT, Environment.LIVE, abroad, at=made.now)
        for channel, address in (("whatsapp", "1122"), ("telegram", "77")):
            await tx.exec(
                """
                INSERT INTO channel_connections (id, tenant_id, environment, channel, provider, account, address, agent_id, status, created_at,
                                                 updated_at)
                VALUES (%(id)s, 'ten_a', 'live', %(channel)s, %(channel)s, 'platform', %(address)s, %(agent)s, 'active', now(), now())
                """,
                id=f"chan_{channel}",
                channel=channel,
                address=address,
                agent=agent["id"],
            )
    return made


async def test_a_message_is_answered_and_the_next_one_in_the_same_conversation(post):
    await post.asks("When do you open?")
    await post.asks("And on Sunday?")

    assert post.sms.texts == ["You wrote: When do you open?", "You wrote: And on Sunday?"]
    first, second = post.runtime.asked
    assert first.plan == second.plan
    assert (first.plan.channel, first.plan.caller.phone_number, first.plan.caller.country) == (Channel.SMS, ADA, "DE")
    assert (first.idle_seconds, first.plan.max_concurrent) == (1800.0, None)
    assert first.plan.agent.config.max_duration_seconds == 7 * 86_400, "not that of a call"
    sent = post.sms.taken[0]
    assert (sent.sender, sent.to) == (OURS, ADA)
    assert sent.status_url == f"https://voice.test/api/v1/carriers/twilio/platform/message-status?message={sent.id}"
    stored = await post.messages(conversation_id=first.plan.conversation_id)
    assert [(one.direction.value, one.state.value) for one in stored] == [
        ("inbound", "answered"),
        ("outbound", "sent"),
        ("inbound", "answered"),
        ("outbound", "sent"),
    ]


async def test_what_a_network_repeats_is_taken_down_once(post):
    message = await post.writes("Hi")
    for _ in range(100):
        await post.told(message)
    await post.works()
    assert post.runtime.texts == ["Hi"]


async def test_several_messages_in_a_row_are_answered_together(post):
    await post.writes("Hello")
    post.now += timedelta(seconds=0.5)
    await post.exchanges.answer_due()
    assert post.runtime.asked == [], "there may be more to come"
    await post.writes("do you deliver")
    await post.writes("to Berlin?")
    await post.works()
    assert post.runtime.texts == ["Hello\ndo you deliver\nto Berlin?"]


async def test_after_the_idle_time_a_new_conversation_begins(post):
    await post.asks("Hi")
    post.now += timedelta(minutes=31)
    await post.asks("Hi again")
    first, second = post.runtime.asked
    assert first.plan.conversation_id != second.plan.conversation_id
    assert first.plan.session_id != second.plan.session_id


async def test_a_conversation_that_is_over_for_the_runtime_is_begun_anew_with_the_same_words(post):
    await post.asks("Hi")
    post.runtime.answers = [TextExchanged(known=False)]
    await post.asks("And now?")
    assert post.runtime.texts == ["Hi", "And now?", "And now?"]
    assert len({request.plan.session_id for request in post.runtime.asked}) == 2
    assert post.sms.texts[-1] == "You wrote: And now?"


async def test_the_agent_ends_a_conversation_and_the_next_message_begins_another(post):
    post.runtime.answers = [TextExchanged(replies=("Goodbye!",), ended=EndReason.AGENT_ENDED)]
    await post.asks("Bye")
    await post.asks("Wait")
    assert post.runtime.asked[0].plan.session_id != post.runtime.asked[1].plan.session_id


async def test_a_runtime_that_is_away_is_asked_again_for_the_same(post):
    post.runtime.answers = [LimitReached("full", code="node-full"), RequestTimeout("late")]
    await post.asks("Hi")
    assert post.sms.texts == []
    await post.works()
    await post.works()
    assert post.sms.texts == ["You wrote: Hi"]
    assert len({(request.message_id, request.plan.session_id) for request in post.runtime.asked}) == 1


async def test_words_written_while_an_answer_is_owed_wait_for_their_own(post):
    post.runtime.answers = [LimitReached("full", code="node-full")]
    await post.asks("First")
    await post.writes("Second")
    await post.works()
    await post.works()
    assert post.runtime.texts == ["First", "First", "Second"]
    assert post.sms.texts == ["You wrote: First", "You wrote: Second"]


async def test_a_worker_that_died_over_an_answer_leaves_no_second_one(post, monkeypatch):
    await post.writes("Hi")
    post.now += timedelta(seconds=5)
    with monkeypatch.context() as patch:

        async def die(*_args: Any) -> None:
            raise asyncio.CancelledError

        patch.setattr(post.exchanges, "_keep", die)
        await asyncio.gather(post.exchanges.answer_due(), return_exceptions=True)
    await post.works(seconds=200)
    assert post.sms.texts == ["You wrote: Hi"]
    assert [request.message_id for request in post.runtime.asked] == [post.runtime.asked[0].message_id] * 2


async def test_an_agent_that_is_off_answers_nobody_and_the_reason_is_on_record(post):
    headers = post.api.token("ten_a")
    await post.api.client.post(f"/api/v1/agents/{post.agent['id']}/deactivate", headers=headers)
    await post.asks("Hi")
    (message,) = await post.messages(direction="inbound")
    assert (message.state.value, message.failure) == ("failed", "agent-inactive")
    assert post.runtime.asked == []


async def test_an_unknown_number_does_no_harm(post):
    await post.told(post.message("Hi", recipient="+15550000000"))
    assert await post.messages() == []


# STOP, START, HELP


async def test_stop_is_confirmed_once_and_nothing_more_is_sent(post):
    await post.asks("Hi")
    await post.asks("STOP")
    await post.asks("stop!")
    await post.asks("Are you there?")
    assert post.runtime.texts == ["Hi"]
    assert len(post.sms.texts) == 2
    assert "START" in post.sms.texts[1]
    async with begin(post.api.database, SYSTEM) as work:
        with pytest.raises(Conflict) as refused:
            await usecases.send(
                work,
                post.networks,
                usecases.Wanted(channel=Channel.SMS, agent_id=post.agent["id"], to=ADA, text="Offer!"),
            )
    assert refused.value.code == "opted-out"
    await post.asks("START")
    await post.asks("Hello")
    assert post.runtime.texts == ["Hi", "Hello"]


async def listed(post) -> list[tuple[str, str]]:
    """Whom nobody calls any more, and why."""
    async with begin(post.api.database, SYSTEM) as work:
        found, _ = await do_not_call.list_listed(work, search=None, source=None, after=None, limit=10, offset=0)
    return [(one.phone_number, one.source) for one in found]


async def test_stop_ends_calls_too_and_start_takes_back_no_more_than_that(post):
    await post.asks("STOP")
    await post.asks("stop")
    assert await listed(post) == [(ADA, "sms_stop")]
    await post.asks("START")
    assert await listed(post) == []
    await post.asks("STOP")
    async with begin(post.api.database, SYSTEM) as work:
        assert await do_not_call.import_numbers(work, (ADA, ADA), reason="complained", source="crm") == 1
    await post.asks("START")
    assert await listed(post) == [(ADA, "crm")]
    await post.asks("STOP")
    await post.asks("START")
    assert await listed(post) == [(ADA, "crm")], "somebody else has put it there"


async def test_start_on_one_channel_takes_back_no_stop_on_another(post):
    await post.asks("STOP")
    async with begin(post.api.database, SYSTEM) as work:
        await contacts.opt_out(work, Channel.WHATSAPP, (ADA,), OptOutSource.KEYWORD)
        await do_not_call.heed_stop(work, Channel.WHATSAPP, (ADA,))
    await post.asks("START")
    assert await listed(post) == [(ADA, "whatsapp_stop")]
    async with begin(post.api.database, SYSTEM) as work:
        await contacts.opt_in(work, Channel.WHATSAPP, (ADA,))
        await do_not_call.heed_start(work, Channel.WHATSAPP, (ADA,))
    assert await listed(post) == []


async def test_nobody_is_called_any_more_whose_carrier_says_that_he_wants_no_texts(post):
    await post.writes("Arrêter", consent=Consent.STOP, is_answered=True)
    assert await listed(post) == [(ADA, "sms_stop")]
    eve = Correspondent(address="555", user_id="555", name="Eve", phone_number="+14155550177")
    await post.asks("/stop", provider="telegram", sender=eve)
    assert await listed(post) == [(ADA, "sms_stop")], "who ends a chat is not called there"


async def test_nobody_writes_to_a_premium_rate_number(post):
    async with begin(post.api.database, SYSTEM) as work:
        with pytest.raises(Invalid) as refused:
            await usecases.send(
                work,
                post.networks,
                usecases.Wanted(channel=Channel.SMS, agent_id=post.agent["id"], to="+19005550123", text="Offer!"),
            )
    assert [(one.pointer, one.code) for one in refused.value.errors] == [("/to", "number-not-allowed")]


async def test_texts_go_first_to_the_countries_that_are_allowed_and_to_whoever_has_written(post):
    bea = "+33612345678"
    french = usecases.Wanted(channel=Channel.SMS, agent_id=post.agent["id"], to=bea, text="Hello")
    async with begin(post.api.database, SYSTEM) as work:
        with pytest.raises(Invalid) as refused:
            await usecases.send(work, post.networks, french)
    assert [(one.pointer, one.code) for one in refused.value.errors] == [("/to", "country-not-allowed")]
    async with begin(post.api.database, SYSTEM) as work:
        await usecases.send_requested(work, post.networks, post.wanted_in_a_call(bea))
    assert await post.messages() == []
    await post.asks("Bonjour", sender=Correspondent(address=bea, phone_number=bea))
    async with begin(post.api.database, SYSTEM, clock=lambda: post.now) as work:
        await usecases.send(work, post.networks, french)
    await post.works()
    assert post.sms.texts[-1] == "Hello"


async def test_a_suspended_tenant_sends_and_answers_nothing_also_where_a_conversation_goes_on(post):
    await post.asks("Hi")
    post.sms.faults = [ProviderError("away", provider="twilio", kind="messaging", retryable=True, retry_after=30.0)]
    await post.asks("And on Sunday?")
    async with post.api.database.transaction_as_system() as tx:
        await tx.exec(
            "INSERT INTO tenants VALUES ('ten_a', 'A', 'a', 'suspended', 'professional', '{}', %(at)s)", at=post.now
        )
    await post.works(seconds=31)
    await post.asks("Hello?")
    async with begin(post.api.database, SYSTEM) as work:
        await usecases.send_requested(work, post.networks, post.wanted_in_a_call(ADA))
    await post.works()
    assert post.sms.texts == ["You wrote: Hi"]
    assert post.runtime.texts == ["Hi", "And on Sunday?"]
    failures = {(one.direction.value, one.failure) for one in await post.messages() if one.state.value == "failed"}
    assert failures == {("outbound", "tenant-suspended"), ("inbound", "tenant-suspended")}


async def test_a_network_that_has_confirmed_stop_itself_is_believed(post):
    await post.writes("STOP", consent=Consent.STOP, is_answered=True)
    await post.works()
    assert post.sms.texts == []
    (known,) = await post.contacts()
    assert [out.channel for out in known.opt_outs] == [Channel.SMS]


async def test_stop_withholds_what_waits_to_be_sent(post):
    post.sms.faults = [ProviderError("away", provider="twilio", kind="messaging", retryable=True, retry_after=30.0)]
    await post.asks("Hi")
    assert await post.states() == ["queued"]
    await post.writes("STOP")
    await post.works(seconds=60)
    assert await post.states() == ["failed", "sent"]
    assert len(post.sms.texts) == 1, "the confirmation alone"


async def test_who_is_opted_out_while_a_message_waits_does_not_get_it(post):
    post.sms.faults = [ProviderError("away", provider="twilio", kind="messaging", retryable=True, retry_after=30.0)]
    await post.asks("Hi")
    async with begin(post.api.database, SYSTEM) as work:
        await contacts.opt_out(work, Channel.SMS, (ADA,), OptOutSource.TENANT)
    await post.works(seconds=60)
    (message,) = await post.messages(direction="outbound")
    assert (message.state.value, message.failure, post.sms.texts) == ("failed", "opted_out", [])


async def test_help_names_the_business_and_how_to_stop(post):
    await post.asks("help")
    assert post.agent["name"].split(" ")[0] in post.sms.texts[0]
    assert "STOP" in post.sms.texts[0]
    assert post.runtime.asked == []


async def test_who_blocks_a_bot_gets_nothing_more(post):
    eve = Correspondent(address="555", user_id="555", name="Eve")
    await post.asks("Hi", provider="telegram", sender=eve)
    await post.told(
        ConsentChanged(
            network=Channel.TELEGRAM, sender=eve, recipient="77", consent=Consent.STOP, at=0.0, event_id="blocked"
        ),
        provider="telegram",
    )
    (known,) = await post.contacts()
    assert [out.source.value for out in known.opt_outs] == ["network"]


# One person


async def test_a_telephone_number_makes_one_contact_of_a_person_on_several_channels(post):
    await post.asks("Hi")
    await post.asks("Hi", provider="whatsapp", sender=Correspondent(address=ADA, user_id="DE.1", phone_number=ADA))
    (known,) = await post.contacts()
    assert {(one.kind.value, one.value) for one in known.identities} == {("phone", ADA), ("whatsapp", "DE.1")}
    assert (known.contact.name, known.contact.country) == ("Ada", "DE")


async def test_contacts_become_one_when_the_number_becomes_known(post):
    await post.asks("Hi")
    nameless = Correspondent(address="", user_id="DE.1", name="Ada L.")
    await post.asks("Hi", provider="whatsapp", sender=nameless)
    assert len(await post.contacts()) == 2
    await post.asks("It's me", provider="whatsapp", sender=Correspondent(address=ADA, user_id="DE.1", phone_number=ADA))
    (known,) = await post.contacts()
    assert len({message.contact_id for message in await post.messages()}) == 1
    whatsapp = [request for request in post.runtime.asked if request.plan.channel is Channel.WHATSAPP]
    assert whatsapp[0].plan == whatsapp[1].plan, "the same conversation"
    assert post.networks.of["whatsapp"].taken[-1].to == ADA
    assert known.contact.name == "Ada"


# Media


async def test_a_voice_message_is_read_and_marked_as_one(post):
    eve = Correspondent(address="555", user_id="555")
    post.networks.of["telegram"].media["f1"] = b"ogg"
    await post.asks("", provider="telegram", sender=eve, media=(MessageMedia(kind=MediaKind.VOICE, reference="f1"),))
    assert post.runtime.texts == ["[Voice message] I would like a table for two"]
    (message,) = await post.messages(direction="inbound")
    assert message.transcript == "I would like a table for two"


async def test_a_voice_message_that_nobody_understands_is_asked_for_in_writing(post):
    post.networks.of["telegram"].media["f1"] = b"noise"
    post.ear.hears = ValueError("no sound")
    eve = Correspondent(address="555", user_id="555")
    await post.asks("", provider="telegram", sender=eve, media=(MessageMedia(kind=MediaKind.VOICE, reference="f1"),))
    assert post.runtime.asked == []
    assert "voice message" in post.networks.of["telegram"].texts[0]


async def test_the_agent_is_told_what_came_that_it_cannot_see(post):
    image = (MessageMedia(kind=MediaKind.IMAGE, reference="i1"),)
    await post.asks("", media=image)
    await post.asks("Is this broken?", media=image)
    bill = MessageMedia(kind=MediaKind.DOCUMENT, reference="d1", name='bill "1"].pdf\n')
    await post.asks("", media=(bill,))
    assert post.runtime.texts == [
        "[The person sent an image, which you cannot see.]",
        "Is this broken?\n[The person sent an image, which you cannot see.]",
        '[The person sent a document named "bill 1.pdf", which you cannot see.]',
    ]
    assert len(post.sms.texts) >= 3, "nobody is met with silence"


async def test_what_came_is_kept_with_the_conversation_and_had_by_a_link(post):
    await post.shows("i1", PNG)
    (media,) = (await post.listed())["media"]
    assert (media["status"], media["contentType"], media["sizeBytes"]) == ("kept", "image/png", len(PNG))
    shown = await post.api.client.get(media["url"])
    assert (shown.status_code, shown.content, shown.headers["content-type"]) == (200, PNG, "image/png")
    assert shown.headers["content-disposition"].startswith("inline")
    (key,) = post.api.blobs.objects
    conversation_id = post.runtime.asked[0].plan.conversation_id
    assert key.startswith(f"recordings/ten_a/{conversation_id}/media/"), "where a conversation's deletion finds it"
    assert (await post.api.client.get(media["url"].replace(".png", ".jpg"))).status_code == 404
    other = await post.api.client.get("/api/v1/messages", headers=post.api.token("ten_b"))
    assert other.json()["data"] == []


async def test_nothing_is_shown_as_what_it_is_not(post):
    page = b"<html><script>alert(1)</script>"
    await post.shows("i1", page)
    (media,) = (await post.listed())["media"]
    assert (media["status"], media["failure"], media["url"]) == ("refused", "not-what-it-says", None)
    too_large = MessageRefused("too large", provider="twilio", failure=MessageFailure.CONTENT)
    await post.shows("v1", too_large, kind=MediaKind.VIDEO)
    (media,) = (await post.listed())["media"]
    assert (media["status"], media["failure"], media["url"]) == ("refused", "content", None)
    assert post.api.blobs.objects == {}
    await post.shows("d1", page, kind=MediaKind.DOCUMENT)
    (media,) = (await post.listed())["media"]
    answer = await post.api.client.get(media["url"])
    assert answer.headers["content-type"].partition(";")[0] == "text/plain"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_media_of_a_network_that_is_away_are_fetched_later_and_not_for_ever(post):
    await post.shows("i1", ProviderError("away", provider="twilio", kind="messaging", retryable=True))
    assert (await post.listed())["media"][0]["status"] == "waiting"
    post.sms.media["i1"] = PNG
    post.now += timedelta(minutes=1)
    await post.keeper.keep_due()
    assert (await post.listed())["media"][0]["status"] == "kept"
    await post.shows("i2", RuntimeError("a bug"))
    for _ in range(6):
        post.now += timedelta(minutes=10)
        await post.keeper.keep_due()
    assert [one["failure"] for one in (await post.listed())["media"]] == ["not-fetched"]
    assert await post.keeper.seconds_to_next() is None


@pytest.mark.parametrize("changes", [{"hipaaCompliant": True}, {"recording": {"enabled": False}}])
async def test_an_agent_that_records_nothing_keeps_no_media(post, changes):
    place, headers = f"/api/v1/agents/{post.agent['id']}", post.api.token("ten_a")
    assert (await post.api.client.patch(place, json=changes, headers=headers)).status_code == 200
    assert (await post.api.client.post(f"{place}/publish", headers=headers)).status_code == 200
    await post.shows("i1", PNG)
    (media,) = (await post.listed())["media"]
    assert (media["status"], media["url"]) == ("not_kept", None)
    assert post.api.blobs.objects == {}


async def test_media_go_with_their_message_and_at_the_end_of_their_retention(post):
    await post.shows("i1", PNG)
    await post.shows("i2", PNG, sender=Correspondent(address="+491709999999"))
    assert len(post.api.blobs.objects) == 2
    bea = next(one for one in await post.contacts() if one.identities[0].value == "+491709999999")
    async with begin(post.api.database, SYSTEM, clock=lambda: post.now) as work:  # something still waits to be sent
        wanted = usecases.Wanted(
            channel=Channel.SMS, agent_id=post.agent["id"], contact_id=bea.contact.id, text="Hello"
        )
        await usecases.send(work, post.networks, wanted)
    gone = await post.api.client.delete(f"/api/v1/contacts/{bea.contact.id}", headers=post.api.token("ten_a"))
    assert gone.status_code == 204, gone.text
    assert await post.outbox.seconds_to_next() is None
    assert await post.keeper.discard() == 1
    assert len(post.api.blobs.objects) == 1
    async with post.api.database.transaction_as_system() as tx:
        await tx.exec("UPDATE message_media SET expires_at = now() - interval '1 minute'")
    await expired_messages(post.api.database).run_once()
    post.api.blobs.error = ConnectionError("away")
    with pytest.raises(ConnectionError):
        await post.keeper.discard()
    post.api.blobs.error = None
    assert await post.keeper.discard() == 1
    assert post.api.blobs.objects == {}
    assert (await post.listed())["media"][0]["status"] == "not_kept"


async def test_media_of_a_conversation_that_is_deleted_while_they_are_fetched_are_not_left_behind(post, monkeypatch):
    put = post.api.blobs.put

    async def delete_meanwhile(key: str, data: bytes) -> None:
        await put(key, data)
        async with post.api.database.transaction_as_system() as tx:
            await tx.exec("DELETE FROM messages")

    monkeypatch.setattr(post.api.blobs, "put", delete_meanwhile)
    await post.shows("i1", PNG)
    assert post.api.blobs.objects == {}


async def test_reading_a_voice_message_costs_once_however_often_its_answer_is_tried(post):
    await price_catalogue(post.api.database).run_once()
    await post.api.follow()
    post.sms.media["v1"] = b"OggS"
    post.runtime.answers = [LimitReached("full", code="node-full"), TextExchanged(replies=("A table for two!",))]
    await post.asks("", media=(MessageMedia(kind=MediaKind.VOICE, reference="v1"),))
    await post.works()
    await post.ends()
    costs = await post.costs()
    (heard,) = [leg for leg in costs["legs"] if leg["kind"] == "stt"]
    assert (heard["provider"], heard["model"], heard["audioSeconds"]) == ("deepgram", "nova-2", 6.0)
    assert costs["breakdown"]["stt"]["cost"] == heard["cost"] > 0
    for _ in range(10):
        await post.told(
            MessageProgress(network=Channel.SMS, message_id="net_1", state=MessageState.DELIVERED, event_id="d")
        )
    assert await post.costs() == costs


async def test_whatsapp_costs_by_what_meta_calls_a_message_and_where_it_goes_once(post):
    await price_catalogue(post.api.database).run_once()
    await post.api.follow()
    bia = Correspondent(address="", user_id="BR.77")
    await post.asks("Oi", provider="whatsapp", sender=bia)
    await post.ends()

    async def told(state: MessageState, tariff: str | None) -> None:
        event = MessageProgress(
            network=Channel.WHATSAPP, message_id="net_1", state=state, event_id=f"{state}", tariff=tariff
        )
        await post.told(event, provider="whatsapp")

    def priced(costs: dict[str, Any]) -> list[tuple[str, float, bool]]:
        return [(leg["model"], leg["cost"], leg["estimated"]) for leg in costs["legs"]]

    unknown = [("whatsapp_inbound", 0.0, False), ("whatsapp_outbound", 0.0, True)]
    assert priced(await post.costs()) == unknown
    await told(MessageState.READ, None)
    await told(MessageState.DELIVERED, "marketing")
    costs = await post.costs()
    assert priced(costs) == [("whatsapp_inbound", 0.0, False), ("whatsapp_marketing_BR_outbound", 0.025, False)]
    for _ in range(20):
        await told(MessageState.READ, None)
        await told(MessageState.DELIVERED, "marketing")
    assert await post.costs() == costs
    await told(MessageState.DELIVERED, "free")
    assert priced(await post.costs())[1] == ("whatsapp_free_BR_outbound", 0.0, False)


async def test_a_chat_that_begins_without_a_word_is_greeted(post):
    post.runtime.answers = [TextExchanged(replies=("Welcome!",))]
    await post.asks("/start", provider="telegram", sender=Correspondent(address="555", user_id="555"))
    assert post.runtime.texts == [""]
    assert post.networks.of["telegram"].texts == ["Welcome!"]


async def test_a_correction_of_what_nobody_has_read_takes_its_place(post):
    message = await post.writes("Do you dliver?")
    await post.told(msgspec.structs.replace(message, text="Do you deliver?", is_edit=True, event_id="edit_1"))
    await post.works()
    assert post.runtime.texts == ["Do you deliver?"]
    await post.told(msgspec.structs.replace(message, text="Do you deliver to Bonn?", is_edit=True, event_id="edit_2"))
    await post.works()
    assert post.runtime.texts[1] == "[Correction of an earlier message] Do you deliver to Bonn?"


# Sending


async def test_a_long_answer_goes_out_in_messages_that_fit_and_in_order(post):
    sentence = "This is a sentence of some length that says something about opening hours. "
    post.runtime.answers = [TextExchanged(replies=(sentence * 5, "The end."))]
    await post.asks("Tell me all")
    assert len(post.sms.texts) == 4
    assert all(len(text) <= 160 for text in post.sms.texts)
    assert " ".join(post.sms.texts[:3]) == (sentence * 5).strip()
    assert post.sms.texts[-1] == "The end."


async def test_a_message_is_tried_again_when_the_network_did_not_take_it(post):
    post.sms.faults = [ProviderError("away", provider="twilio", kind="messaging", retryable=True, retry_after=7.0)]
    post.runtime.answers = [TextExchanged(replies=("One", "Two"))]
    await post.asks("Hi")
    assert post.sms.texts == [], "the second one waits for the first"
    await post.works(seconds=8)
    assert post.sms.texts == ["One", "Two"]


async def test_a_message_of_which_nobody_knows_is_not_sent_twice(post):
    post.sms.faults = [MessageUncertain("cut off", provider="twilio")]
    await post.asks("Hi")
    for _ in range(3):
        await post.works(seconds=3600)
        await post.outbox.clear_up()
    assert (await post.states(), post.sms.texts) == (["unconfirmed"], [])
    (message,) = await post.messages(direction="outbound")
    await post.told(
        MessageProgress(
            network=Channel.SMS, message_id="net_9", state=MessageState.DELIVERED, event_id="d", reference=message.id
        )
    )
    assert await post.states() == ["delivered"]


async def test_an_uncertain_message_is_repeated_where_the_network_knows_it_by_its_id(post):
    post.sms.capabilities = msgspec.structs.replace(post.sms.capabilities, is_repeatable=True)
    post.sms.faults = [MessageUncertain("cut off", provider="twilio")]
    await post.asks("Hi")
    await post.works()
    assert post.sms.texts == ["You wrote: Hi"]


async def test_a_worker_that_died_over_a_message_leaves_it_unconfirmed(post, monkeypatch):
    await post.writes("Hi")
    post.now += timedelta(seconds=5)
    await post.exchanges.answer_due()
    with monkeypatch.context() as patch:

        async def die(*_args: Any) -> None: ...

        patch.setattr(post.outbox, "_send", die)
        await post.outbox.send_due()
    post.now += timedelta(minutes=3)
    assert await post.outbox.clear_up() == 1
    await post.works()
    assert (await post.states(), post.sms.texts) == (["unconfirmed"], [])


async def test_what_a_network_refuses_is_on_record_with_its_reason(post):
    post.sms.faults = [
        MessageRefused("blocked", provider="twilio", failure=MessageFailure.OPTED_OUT, code="21610"),
    ]
    await post.asks("Hi")
    (message,) = await post.messages(direction="outbound")
    assert (message.state.value, message.failure, message.code) == ("failed", "opted_out", "21610")
    (known,) = await post.contacts()
    assert known.opt_outs, "the network knows it better"


async def test_states_only_go_forward_however_callbacks_come(post):
    await post.asks("Hi")
    for state in (MessageState.DELIVERED, MessageState.SENT, MessageState.QUEUED, MessageState.FAILED):
        for _ in range(25):
            await post.told(
                MessageProgress(network=Channel.SMS, message_id="net_1", state=state, event_id=f"{state}_1")
            )
    assert await post.states() == ["delivered"]
    (message,) = await post.messages(direction="outbound")
    assert message.delivered_at is not None
    assert message.failure is None


async def test_whatsapp_outside_its_window_holds_a_text_until_the_person_writes(post):
    await post.asks("Hi", provider="whatsapp")
    post.now += timedelta(hours=25)
    async with begin(post.api.database, SYSTEM, clock=lambda: post.now) as work:
        await usecases.send(
            work,
            post.networks,
            usecases.Wanted(channel=Channel.WHATSAPP, agent_id=post.agent["id"], to=ADA, text="Your order is ready"),
        )
    await post.works()
    whatsapp = post.networks.of["whatsapp"]
    assert "Your order is ready" not in whatsapp.texts
    held = (await post.messages(direction="outbound"))[-1]
    assert (held.state.value, held.failure) == ("held", "outside_window")
    await post.asks("Hello?", provider="whatsapp")
    assert "Your order is ready" in whatsapp.texts


async def test_whatsapp_outside_its_window_sends_the_template_of_the_connection(post):
    await post.asks("Hi", provider="whatsapp")
    async with post.api.database.transaction_as_system() as tx:
        await tx.exec(
            """UPDATE channel_connections SET settings = '{"reopen_template": {"name": "news", "language": "en", "values": ["{text}"]}}'
                WHERE id = 'chan_whatsapp'"""
        )
    post.now += timedelta(hours=25)
    async with begin(post.api.database, SYSTEM, clock=lambda: post.now) as work:
        await usecases.send(
            work,
            post.networks,
            usecases.Wanted(channel=Channel.WHATSAPP, agent_id=post.agent["id"], to=ADA, text="Your order\nis ready"),
        )
    await post.works()
    sent = post.networks.of["whatsapp"].taken[-1]
    assert (sent.text, sent.template.name, sent.template.values) == ("", "news", ("Your order is ready",))


async def test_a_text_that_an_agent_wants_sent_in_a_call_is_sent_once_to_the_same_contact(post):
    await post.asks("Hi")
    event = post.wanted_in_a_call(ADA)
    for _ in range(2):
        async with begin(post.api.database, SYSTEM, clock=lambda: post.now) as work:
            await usecases.send_requested(work, post.networks, event)
    await post.works()
    assert post.sms.texts[1:] == ["Here is the link: https://acme.test/book"]
    (message,) = await post.messages(conversation_id="conv_call")
    assert (message.source.value, message.state.value) == ("tool", "sent")
    assert len(await post.contacts()) == 1


async def test_an_agent_that_wrote_first_knows_it_and_greets_nobody(post):
    async with begin(post.api.database, SYSTEM, clock=lambda: post.now) as work:
        wanted = usecases.Wanted(channel=Channel.SMS, agent_id=post.agent["id"], to=ADA, text="Your order is ready.")
        await usecases.send(work, post.networks, wanted)
    await post.works()
    await post.asks("Thanks! When do you close?")
    await post.asks("And tomorrow?")
    first, second = post.runtime.asked
    assert first.text == "[You wrote to this person before: Your order is ready.]\nThanks! When do you close?"
    assert first.plan.agent.config.first_message_mode.value == "wait_for_user"
    assert second.text == "And tomorrow?"
    stored = await post.messages(conversation_id=first.plan.conversation_id)
    assert stored[0].text == "Your order is ready."


async def test_a_conversation_costs_what_its_messages_cost_also_those_that_leave_after_its_end(post):
    await price_catalogue(post.api.database).run_once()
    await post.api.follow()
    post.runtime.answers = [TextExchanged(replies=("Bye " * 60,), ended=EndReason.AGENT_ENDED)]
    post.sms.faults = [ProviderError("away", provider="twilio", kind="messaging", retryable=True, retry_after=60.0)]
    await post.asks("Bye")
    plan = post.runtime.asked[0].plan
    call = Call(channel=Channel.SMS, agent_id=post.agent["id"])
    call.plan = plan
    for event in (call.started, call.turn(AGENT_TURN), call.turn(USER_TURN), call.ended(usage=Usage())):
        await post.api.tell(msgspec.structs.replace(event, conversation_id=plan.conversation_id))
    place = f"/api/v1/conversations/{plan.conversation_id}/costs"
    before = (await post.api.client.get(place, headers=post.api.token("ten_a"))).json()
    assert [(leg["model"], leg["messages"], leg["cost"]) for leg in before["legs"]] == [("sms_inbound", 1, 0.0083)]
    await post.works(seconds=61)
    after = (await post.api.client.get(place, headers=post.api.token("ten_a"))).json()
    assert [(leg["model"], leg["messages"], leg["priced"]) for leg in after["legs"]] == [
        ("sms_inbound", 1, True),
        ("sms_outbound", 2, True),
    ]
    assert after["total"] == after["breakdown"]["telephony"]["cost"] == pytest.approx(0.0249)
    for _ in range(100):
        await post.told(
            MessageProgress(network=Channel.SMS, message_id="net_1", state=MessageState.DELIVERED, event_id="d")
        )
    assert (await post.api.client.get(place, headers=post.api.token("ten_a"))).json() == after


async def test_of_a_hipaa_agent_no_word_is_kept(post):
    headers = post.api.token("ten_a")
    patched = await post.api.client.patch(
        f"/api/v1/agents/{post.agent['id']}", json={"hipaaCompliant": True}, headers=headers
    )
    assert patched.status_code == 200, patched.text
    published = await post.api.client.post(f"/api/v1/agents/{post.agent['id']}/publish", headers=headers)
    assert published.status_code == 200, published.text
    await post.asks("My knee hurts")
    assert post.sms.texts == ["You wrote: My knee hurts"]
    assert {message.text for message in await post.messages()} == {""}


async def test_of_a_hipaa_agent_no_word_is_kept_either_of_what_nobody_answers_or_gets(post, monkeypatch):
    headers = post.api.token("ten_a")
    place = f"/api/v1/agents/{post.agent['id']}"
    assert (await post.api.client.patch(place, json={"hipaaCompliant": True}, headers=headers)).status_code == 200
    assert (await post.api.client.post(f"{place}/publish", headers=headers)).status_code == 200
    monkeypatch.setattr(exchanges, "MOST_AN_HOUR", 1)
    post.sms.faults = [MessageRefused("No.", provider="twilio", failure=MessageFailure.UNREACHABLE)]
    await post.asks("My knee hurts")
    await post.asks("My elbow too")
    await post.writes("My hip, as well")
    await post.writes("STOP")
    await post.works()
    await post.asks("My shoulder")
    kept = {(message.direction.value, message.state.value): message.text for message in await post.messages()}
    assert {("inbound", "answered"), ("inbound", "ignored"), ("outbound", "failed")} <= kept.keys()
    assert set(kept.values()) == {""}


async def test_what_was_written_with_a_hipaa_version_stays_secret_whatever_the_agent_becomes(post):
    headers = post.api.token("ten_a")
    place = f"/api/v1/agents/{post.agent['id']}"

    async def becomes(hipaa: bool) -> None:
        changed = await post.api.client.patch(place, json={"hipaaCompliant": hipaa}, headers=headers)
        assert changed.status_code == 200
        assert (await post.api.client.post(f"{place}/publish", headers=headers)).status_code == 200

    await becomes(True)
    post.sms.faults = [ProviderError("away", provider="twilio", kind="messaging", retryable=True, retry_after=30.0)]
    await post.asks("My knee hurts")
    await becomes(False)
    await post.asks("It still does")
    await post.works(seconds=31)
    assert post.sms.texts == ["You wrote: My knee hurts", "You wrote: It still does"]
    assert {message.text for message in await post.messages()} == {""}
    post.now += timedelta(hours=2)
    await post.asks("Something else")
    assert "Something else" in {message.text for message in await post.messages()}


async def test_a_template_that_repeats_a_secret_text_keeps_none_of_it(post):
    headers = post.api.token("ten_a")
    place = f"/api/v1/agents/{post.agent['id']}"
    assert (await post.api.client.patch(place, json={"hipaaCompliant": True}, headers=headers)).status_code == 200
    assert (await post.api.client.post(f"{place}/publish", headers=headers)).status_code == 200
    async with post.api.database.transaction_as_system() as tx:
        await tx.exec(
            """UPDATE channel_connections SET settings = '{"reopen_template": {"name": "news", "language": "en", "values": ["{text}"]}}'"""
        )
    async with begin(post.api.database, SYSTEM, clock=lambda: post.now) as work:
        wanted = usecases.Wanted(channel=Channel.WHATSAPP, agent_id=post.agent["id"], to=ADA, text="Your knee is fine")
        await usecases.send(work, post.networks, wanted)
    await post.works()
    assert post.networks.of["whatsapp"].taken[0].template.values == ("Your knee is fine",)
    (message,) = await post.messages()
    assert (message.text, message.template.name, message.template.values) == ("", "news", ())


async def test_a_message_that_is_queued_while_the_one_before_it_leaves_is_sent_too(post):
    post.runtime.answers = [TextExchanged(replies=("One",))]
    await post.writes("Hi")
    post.now += timedelta(seconds=5)
    await post.exchanges.answer_due()
    async with post.api.database.transaction_as_system() as tx:
        (first,) = await outbox_store.claim_to_send(tx, now=post.now, limit=5)

    async def send() -> None:
        async with begin(post.api.database, SYSTEM, clock=lambda: post.now) as work:
            wanted = usecases.Wanted(channel=Channel.SMS, agent_id=post.agent["id"], to=ADA, text="Two")
            await usecases.send(work, post.networks, wanted)

    async with begin(post.api.database, SYSTEM, clock=lambda: post.now) as work:
        await outbox_store.mark_sent(
            work.tx, TENANT, Environment.LIVE, first.id, network_id="net_0", segments=1, price=None, at=post.now
        )
        sending = asyncio.create_task(send())
        await asyncio.wait({sending}, timeout=0.2)  # it waits for the thread
    await sending
    await post.works()
    assert post.sms.texts == ["Two"]


async def test_what_stands_behind_a_message_wakes_nobody(post):
    post.sms.faults = [ProviderError("away", provider="twilio", kind="messaging", retryable=True, retry_after=40.0)]
    post.runtime.answers = [TextExchanged(replies=("One", "Two"))]
    await post.asks("Hi")
    assert 30 < await post.outbox.seconds_to_next() <= 40


async def test_with_a_conversation_goes_what_was_written_in_it(post):
    await post.api.follow()
    await post.asks("My knee hurts")
    call = Call(channel=Channel.SMS, agent_id=post.agent["id"])
    call.plan = post.runtime.asked[0].plan
    for event in (call.started, call.turn(AGENT_TURN), call.turn(USER_TURN), call.ended(usage=Usage())):
        await post.api.tell(msgspec.structs.replace(event, conversation_id=call.plan.conversation_id))
    post.now += timedelta(days=2)
    await post.asks("Something else")
    place = f"/api/v1/conversations/{call.plan.conversation_id}"
    deleted = await post.api.client.delete(place, headers=post.api.token("ten_a"))
    assert deleted.status_code == 204, deleted.text
    assert {one.text for one in await post.messages()} == {"Something else", "You wrote: Something else"}


async def test_who_calls_is_the_contact_who_writes(post):
    await contact_subscribers.subscribe(post.api.bus, post.api.database)
    call = Call(channel=Channel.PHONE)
    caller = SessionCaller(phone_number=ADA, country="DE")
    started = msgspec.structs.replace(call.started, plan=msgspec.structs.replace(call.plan, caller=caller))
    await post.api.tell(started)
    await post.asks("Hi, I just called")
    (known,) = await post.contacts()
    assert [one.value for one in known.identities] == [ADA]
    assert post.runtime.asked[0].plan.caller.user_id == known.contact.id


async def test_two_machines_that_answer_each_other_stop(post, monkeypatch):
    monkeypatch.setattr(exchanges, "MOST_AN_HOUR", 3)
    for _ in range(6):
        await post.asks("I am away until Monday.")
    assert len(post.sms.texts) == 3
    assert [one.failure for one in await post.messages(direction="inbound")] == [None] * 3 + ["too-many-messages"] * 3
    post.now += timedelta(hours=2)
    await post.asks("I am back")
    assert post.sms.texts[-1] == "You wrote: I am back"


async def test_the_person_sees_that_an_answer_is_being_written(post):
    post.runtime.after = post.networks.of["whatsapp"].typing_seen
    message = await post.writes("Hi", provider="whatsapp")
    async with asyncio.timeout(5):
        await post.works()
    assert post.networks.of["whatsapp"].typed == [message.message_id]
    assert post.sms.typed == [], "where the network shows it"
