"""The runtime process: everything it is made of, in the order it is made."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from voisnap_domain.agents import EndpointingProvider
from voisnap_domain.errors import LimitReached
from voisnap_domain.ids import EventId, NodeId
from voisnap_domain.resumption import Resumption
from voisnap_domain.sessions import SessionPlan
from voisnap_kit import log, memory
from voisnap_kit.bus import Bus
from voisnap_kit.health import Beat, DrainGate, LoopLag
from voisnap_kit.http import background, build_app
from voisnap_kit.ids import new_id
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.redis import Redis
from voisnap_kit.sealing import opener
from voisnap_kit.tokens import JwksClient
from voisnap_media.recorder import Recorder
from voisnap_media.vad import VadModel
from voisnap_proto.requests import IceServer
from voisnap_providers.accounts import PLATFORM, platform_accounts
from voisnap_providers.carriers import CarrierUrls
from voisnap_providers.errors import ProviderUnconfigured
from voisnap_providers.metering import CallMeter
from voisnap_providers.ports.llm import LanguageModel
from voisnap_providers.registry import ProviderSettings, Registry
from voisnap_providers.tenant_accounts import TenantAccounts
from voisnap_providers.vendors.blobs import blobs_from_url
from voisnap_signalr import HubApp, router

from . import metrics
from .carriers.admission import Admission
from .carriers.exchange import Exchange
from .carriers.media_socket import MediaSockets
from .carriers.rates import Rates
from .carriers.switchboard import Switchboard
from .hubs.auth import authenticator
from .hubs.bounds import TenantBounds
from .hubs.chat import ChatHub
from .hubs.connection_tokens import RedisConnectionTokens
from .hubs.reception import Reception, plans_of
from .hubs.relay import BusRelay
from .hubs.voice import VoiceHub
from .hubs.webrtc import WebRtcHub
from .hubs.wire import call_event
from .pipeline.call import Call, always
from .pipeline.chat import Chat
from .pipeline.ear import VadTicker
from .pipeline.events import CallEvent
from .providers import Fallbacks, Providers
from .recording import Recordings
from .sessions.desk import Desk, DeskSettings
from .sessions.drain import Drain
from .sessions.journal import Journal, Relay
from .sessions.listening import Gallery
from .sessions.neighbours import Neighbours
from .sessions.nodes import Node, Nodes
from .sessions.parts import LiveCall, Parts
from .sessions.reaper import Reaper
from .sessions.rehearsals import Rehearsals
from .sessions.roster import LiveSessions
from .sessions.store import RedisStore
from .sessions.tokens import new_call_token
from .settings import RuntimeSettings
from .slots import RedisSlots
from .spend import SpendLedger
from .texting.answers import RedisAnswers
from .texting.exchange import Texting
from .texting.tool import TextRequests, text_tools_of
from .transfers.desk import Transfers
from .transfers.offering import MakeOfferCall, Offers
from .transfers.store import RedisTransfers
from .transfers.tool import tools_of
from .transfers.transfer import Means
from .transports.ice import MediaNetwork
from .transports.pacing import Pacer
from .transports.webrtc import WebRtcTransport

_log = log.get(__name__)

REAP_SECONDS = 2.0
REGISTER_SECONDS = 5.0
CLEAR_SECONDS = 5.0
JWKS_PATIENCE_SECONDS = 10.0


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """A running runtime: the ASGI application, and what to do before it stops."""

    app: Any
    drain: Callable[[], Any]
    sessions: LiveSessions
    node_id: NodeId


@asynccontextmanager
async def open_runtime(
    settings: RuntimeSettings, *, environ: Mapping[str, str] = os.environ
) -> AsyncGenerator[Runtime]:
    """Load the models, reach the servers, wire everything; at the end of the block all of it is closed. `environ` holds the platform's own
    access to providers (`accounts.PROVIDERS`)."""
    async with AsyncExitStack() as stack:
        node_id = NodeId(settings.node_id or new_id(settings.node_name))

        # What needs nobody: models, clocks.
        platform = platform_accounts(environ)
        registry = Registry(ProviderSettings(models_dir=settings.models_dir, accounts=platform))
        stack.push_async_callback(registry.aclose)
        vad, _, jwks = await asyncio.gather(
            asyncio.to_thread(VadModel.load, settings.models_dir / "silero-vad" / "silero_vad.onnx"),
            registry.warm(),
            JwksClient.open(settings.jwks_url, patience=JWKS_PATIENCE_SECONDS),
        )
        stack.push_async_callback(jwks.close)
        ticker = VadTicker(vad)
        pacer, rates = Pacer(), Rates()

        def listen(now: float) -> None:
            rates.heard.run()
            ticker.tick(now)

        pacer.on_tick(listen)
        pacer.after_frames(rates.spoken.run)
        metrics.watch_pacer(pacer.stats)
        metrics.watch_tasks(asyncio.get_running_loop())
        lag = LoopLag()

        # The servers.
        redis = await stack.enter_async_context(await Redis.open(settings.redis_url))
        bus = await stack.enter_async_context(await Bus.connect(settings.nats_url, f"runtime {node_id}"))
        blobs = blobs_from_url(settings.blobs_url)

        # Providers.
        limits = settings.account_limits
        ledger = SpendLedger(
            redis,
            now=_now,
            key_limits={
                f"{provider}:{PLATFORM}": limit.usd_per_month
                for provider, limit in limits.items()
                if limit.usd_per_month is not None
            },
        )
        slots = RedisSlots(redis, new_id=lambda: new_id("slot"), spent=ledger.key_exhausted)
        tenants = TenantAccounts(opener(settings.sealing_keys), environ)
        providers = Providers(
            registry,
            accounts_of=lambda plan: tenants.opened(
                plan.credentials, tenant_id=plan.tenant_id, environment=plan.environment
            ),
            fallbacks=Fallbacks(
                llm=settings.fallback_llm,
                voice=settings.fallback_voice,
                transcription=settings.fallback_transcription,
            ),
            limits=limits,
            slots=slots,
            hedge_after=settings.llm_hedge_seconds,
        )

        await providers.load_all()

        exchange = Exchange(platform=platform, tenants=tenants, simulator_file=settings.simulator_accounts_file)
        stack.push_async_callback(exchange.aclose)

        # Sessions.
        store = RedisStore(redis)
        relay = Relay(store, bus)
        recordings = Recordings(blobs, spool=settings.spool_dir)
        stack.push_async_callback(recordings.close)
        neighbours = Neighbours(bus, node_id)
        journal = Journal(
            store,
            node_id,
            spool=settings.spool_dir,
            new_event_id=lambda: EventId(new_id("evt")),
            written=relay.wake,
            lost=lambda session_id: sessions.void(session_id),
        )
        sessions = LiveSessions(
            Parts(
                node_id=node_id,
                store=store,
                journal=journal,
                pacer=pacer,
                recordings=recordings,
                make_call=_call_maker(providers, ticker, ledger, lambda: transfers, lambda: sessions),
                make_transport=_transport_maker(settings),
                now=_now,
                neighbours=neighbours,
                max_sessions=settings.max_sessions,
                resume_window=settings.resume_window,
            ),
            sweep=memory.sweep,
        )
        rehearsals = Rehearsals(registry, sessions, accounts_of=providers.accounts_of)
        desk = Desk(
            DeskSettings(node_id=node_id, max_sessions=settings.max_sessions, ice=settings.ice),
            store,
            bus,
            sessions,
            check_providers=lambda plan: _check(plan, ledger, providers),
            load_providers=providers.load,
            now=_now,
            random_bytes=os.urandom,
            lateness=pacer.lateness,
            rehearsals=rehearsals,
        )
        texting = Texting(
            node_id=node_id,
            store=store,
            answers=RedisAnswers(redis),
            sessions=sessions,
            desk=desk,
            bus=bus,
            now=_now,
            cast=_caster(providers, rehearsals),
        )
        gate = DrainGate()
        nodes = Nodes(
            redis,
            lambda: Node(
                id=node_id,
                sessions=sessions.load,
                capacity=settings.max_sessions,
                lag_seconds=lag.worst,
                draining=gate.draining,
                seen_at=_now(),
            ),
        )
        reaper = Reaper(
            store,
            node_id,
            recordings,
            publish=relay.wake,
            now=_now,
            new_event_id=lambda: EventId(new_id("evt")),
            neighbours=neighbours,
            window=settings.resume_window,
            hang_up=exchange.hang_up_soon,
        )

        # Telephone calls.
        admission = Admission(
            store=store, sessions=sessions, now=_now, random_bytes=os.urandom, window=settings.resume_window
        )
        switchboard = Switchboard(node_id, admission, store, sessions, bus)
        kept_transfers = RedisTransfers(redis)
        transfers = Transfers(
            lambda one: Means(
                node_id=node_id,
                store=kept_transfers,
                urls=CarrierUrls(settings.public_url),
                control_of=exchange.control_of,
                hang_up=exchange.hang_up,
                publish=one.publish,
                now=_now,
                new_token=lambda: new_call_token(os.urandom),
            ),
            sessions=sessions,
            store=store,
            bus=bus,
            new_id=new_id,
        )
        offers = Offers(
            node_id=node_id,
            offers=kept_transfers,
            sessions=store,
            bus=bus,
            pacer=pacer,
            make_call=_offer_maker(providers, ticker),
            hang_up=exchange.hang_up,
            hear=transfers.leg_says,
        )
        carriers = MediaSockets(admission, exchange, store, offers=offers, rates=rates)

        # HTTP, hubs and media sockets.
        bounds = TenantBounds(redis, node_id)
        reception = Reception(
            store=store,
            sessions=sessions,
            desk=desk,
            plan=plans_of(bus),
            now=_now,
            random_bytes=os.urandom,
            bus=bus,
            resume_window=settings.resume_window,
            bounds=bounds,
        )
        gallery = Gallery(bus, sessions.of_conversation, to_event=call_event)
        between = BusRelay(bus, node_id)
        hubs = HubApp(
            {
                "webrtc": lambda: WebRtcHub(reception),
                "voice": lambda: VoiceHub(reception),
                "chat": lambda: ChatHub(reception),
            },
            authenticate=authenticator(jwks, check_room=desk.check_room, bounds=bounds),
            allowed_origins=settings.origins,
            tokens=RedisConnectionTokens(redis),
            logger=log.get("voisnap_runtime.hubs"),
            continuity=True,
            node=node_id,
            relay=between,
        )
        beat = Beat(limit=5.0)
        checks = {
            "redis": redis.ping,
            "nats": bus.check,
            "jwks": jwks.check,
            "room": _room_check(desk),
            "sessions": beat.check,
        }
        http: Any = build_app([], service="runtime", checks=checks, gate=gate)
        app = router(router(http, hubs), carriers, prefix="/carriers")

        # What runs in the background.
        journal.recover()
        reaping = Reconciler("sessions.reaper", REAP_SECONDS, reaper.reap)
        clearing = Reconciler("transfers.left_behind", CLEAR_SECONDS, transfers.clear_up)
        registering = Reconciler("sessions.nodes", REGISTER_SECONDS, nodes.register)
        await stack.enter_async_context(
            background(
                journal.run(),
                relay.run(),
                recordings.run(),
                sessions.run(beat.touch),
                sessions.keep_snapshots(),
                bounds.run(),
                slots.run(),
                ledger.run(),
                lag.run(),
                reaping.run(),
                registering.run(),
                clearing.run(),
            )
        )
        pacer.start()
        stack.callback(pacer.stop)
        await desk.listen()
        await texting.listen()
        stack.push_async_callback(texting.close)
        await switchboard.listen()
        stack.push_async_callback(switchboard.close)
        await transfers.listen()
        stack.push_async_callback(transfers.close)
        await gallery.listen()
        stack.push_async_callback(gallery.close)
        await neighbours.listen(sessions.yield_session)
        stack.push_async_callback(between.close)
        await between.listen(hubs.serve_relayed)

        drain = Drain(
            gate=gate,
            hubs=hubs,
            desk=desk,
            sessions=sessions,
            neighbours=neighbours,
            nodes=nodes,
            relay=relay,
            seconds=settings.drain_seconds,
        )

        async def leave() -> None:
            gate.close()
            await texting.close()  # a message that is being answered is answered, or goes on elsewhere
            await drain()

        memory.settle()  # models and code are for ever
        _log.info("runtime.ready", node_id=node_id, max_sessions=settings.max_sessions)
        yield Runtime(app=app, drain=leave, sessions=sessions, node_id=node_id)


def _call_maker(
    providers: Providers,
    ticker: VadTicker,
    ledger: SpendLedger,
    transfers: Callable[[], Transfers],
    sessions: Callable[[], LiveSessions],
) -> Callable[..., LiveCall]:
    request_text = TextRequests(sessions, now=_now)

    def make(
        plan: SessionPlan, recorder: Recorder | None, notify: Callable[[CallEvent], None], resume: Resumption | None
    ) -> LiveCall:
        meter = CallMeter()
        chosen = providers.of(plan, meter)
        guard = ledger.guard(plan, lambda: meter.usage)
        may_spend = guard.may_go_on if guard is not None else always
        if chosen.stt is None or chosen.tts is None:
            return Chat(plan, llm=chosen.llm, notify=notify, resume=resume, meter=meter, may_spend=may_spend)
        if resume is not None:
            transfers().resumed(plan)
        judges = plan.agent.config.endpointing.provider is EndpointingProvider.SEMANTIC
        return Call(
            plan,
            stt=chosen.stt,
            tts=chosen.tts,
            llm=chosen.llm,
            vad=ticker,
            recorder=recorder,
            notify=notify,
            resume=resume,
            turn_end=providers.registry.turn_end() if judges else None,
            meter=meter,
            may_spend=may_spend,
            tools=(
                *tools_of(plan, transfers().begin_for_agent, transfers().call_off),
                *text_tools_of(plan, request_text),
            ),
        )

    return make


def _offer_maker(providers: Providers, vad: VadTicker) -> MakeOfferCall:
    def make(plan: SessionPlan, brain: LanguageModel, notify: Callable[[CallEvent], None]) -> Call:
        meter = CallMeter()
        chosen = providers.of(plan, meter)
        if chosen.stt is None or chosen.tts is None:
            raise ProviderUnconfigured("Nobody can be asked without a voice and a recogniser.")
        return Call(plan, stt=chosen.stt, tts=chosen.tts, llm=brain, vad=vad, recorder=None, notify=notify, meter=meter)

    return make


def _check(plan: SessionPlan, ledger: SpendLedger, providers: Providers) -> None:
    """Raises DomainError for a session that can't be paid for, or whose providers are not there."""
    ledger.check(plan)
    providers.check(plan)


def _caster(providers: Providers, rehearsals: Rehearsals) -> Callable[[SessionPlan], Awaitable[SessionPlan]]:
    async def cast(plan: SessionPlan) -> SessionPlan:
        await providers.load(plan)
        return rehearsals.cast(plan)

    return cast


def _transport_maker(settings: RuntimeSettings) -> Callable[..., WebRtcTransport]:
    """Our own side needs no relay: a caller who does brings his."""
    servers = (IceServer(urls=settings.stun_urls),) if settings.stun_urls else ()
    network = MediaNetwork(bind=settings.media_bind, advertise_ip=settings.media_advertise_ip)

    def make(
        sink: Any, on_state: Callable[[str], None], on_candidate: Callable[[Mapping[str, Any]], None]
    ) -> WebRtcTransport:
        return WebRtcTransport(servers, sink=sink, on_state=on_state, on_local_candidate=on_candidate, network=network)

    return make


def _room_check(desk: Desk) -> Callable[[], Any]:
    async def check() -> None:
        try:
            desk.check_room()
        except LimitReached as error:
            raise RuntimeError(error.detail) from None

    return check


def _now() -> datetime:
    return datetime.now(UTC)
