"""The catalogue: what it lists, for whom it is available, and what agents are warned of."""

import pytest
from voisnap_api.catalogue import usecases
from voisnap_api.catalogue.records import Access, ModelKind
from voisnap_api.catalogue.usecases import Reach
from voisnap_api.prices.usecases import keep_catalogue
from voisnap_domain.agents import LlmProvider, TranscriptionProvider, VoiceProvider
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.work import Caller, begin_as_system
from voisnap_providers.accounts import platform_accounts

pytestmark = pytest.mark.slice

PLATFORM = {
    "OPENAI_API_KEY": "sk-platform",
    "GOOGLE_API_KEY": "gemini",
    "ELEVENLABS_API_KEY": "xi",
    "AWS_ACCESS_KEY_ID": "AKIA",
}
"""AWS is not whole: its secret and its region are missing."""


@pytest.fixture
async def stocked(start_api):
    async with start_api(environ=PLATFORM) as api:
        yield api


async def read(api, path, headers=None, **query):
    answer = await api.client.get(f"/api/v1/{path}", params=query, headers=headers or api.token("ten_a"))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def every(api, path, **query):
    """All pages of a list."""
    found, page = [], 1
    while len(found) < (body := await read(api, path, page=page, pageSize=100, **query))["total"]:
        found += body["data"]
        page += 1
    return found


def test_every_provider_that_agents_may_name_is_listed():
    listed = {(model.kind, model.provider) for model in usecases.all_models()}
    named = {(ModelKind.LLM, one.value) for one in LlmProvider if one is not LlmProvider.OPENAI_COMPATIBLE}
    named |= {(ModelKind.STT, one.value) for one in TranscriptionProvider}
    named |= {(ModelKind.TTS, one.value) for one in VoiceProvider}
    assert listed == named
    assert {voice.provider for voice in usecases.all_voices()} == {one.value for one in VoiceProvider}


def test_the_file_is_of_one_piece():
    models = [(model.kind, model.provider, model.id) for model in usecases.all_models()]
    voices = [(voice.provider, voice.id) for voice in usecases.all_voices()]
    assert len(set(models)) == len(models)
    assert len(set(voices)) == len(voices)
    for voice in usecases.all_voices():
        assert usecases.model_of(voice).languages
    for provider in TranscriptionProvider:
        assert usecases.smallest_of(provider.value, "stt")
    assert all(model.source and model.languages for model in usecases.all_models())


@pytest.mark.parametrize(
    ("asked", "offered", "fits"),
    [
        ("en", ("en-US",), True),
        ("en-US", ("en",), True),
        ("en-GB", ("en-US",), False),
        ("EN-us", ("en-US",), True),
        ("es-MX", ("*",), True),
        ("eo", ("en", "es"), False),
    ],
)
def test_a_language_fits_its_regions_and_its_region_fits_the_language(asked, offered, fits):
    assert usecases.speaks(asked, offered) is fits


def test_access_is_the_tenants_own_before_the_platforms():
    reach = Reach(platform_accounts(PLATFORM), {"openai": frozenset({"api_key"})}, Environment.LIVE)
    assert reach.of("openai", ModelKind.LLM).access is Access.OWN
    assert reach.of("elevenlabs", ModelKind.TTS).access is Access.PLATFORM
    assert reach.of("local", ModelKind.STT).access is Access.LOCAL
    assert reach.of("google", ModelKind.LLM).access is Access.PLATFORM
    for provider, kind, needs in (
        ("google", ModelKind.TTS, "GOOGLE_SERVICE_ACCOUNT_JSON"),
        ("anthropic", ModelKind.LLM, "ANTHROPIC_API_KEY"),
        ("aws", ModelKind.STT, "AWS_REGION"),
        ("scripted", ModelKind.TTS, "sandbox"),
    ):
        found = reach.of(provider, kind)
        assert not found.available
        assert needs in found.reason
    assert Reach({}, {}, Environment.SANDBOX).of("scripted", ModelKind.LLM).available


async def test_models_are_listed_with_what_they_can_do_and_whether_they_can_be_used(stocked):
    owner = stocked.token("ten_a")
    models = {(model["kind"], model["provider"], model["id"]): model for model in await every(stocked, "models")}
    gpt = models["llm", "openai", "gpt-4o"]
    assert (gpt["available"], gpt["access"], gpt["unavailableReason"], gpt["latencyClass"]) == (
        True,
        "platform",
        None,
        "standard",
    )
    assert {"streaming", "tools", "structured"} <= set(gpt["capabilities"])
    claude = models["llm", "anthropic", "claude-haiku-4-5"]
    assert (claude["available"], claude["access"]) == (False, None)
    assert "ANTHROPIC_API_KEY" in claude["unavailableReason"]
    body = {"provider": "anthropic", "name": "Ours", "secrets": {"apiKey": "sk-ant-0123456789"}}
    assert (await stocked.client.post("/api/v1/provider-credentials", json=body, headers=owner)).status_code == 201
    [claude] = (await read(stocked, "models", search="haiku-4-5"))["data"]
    assert (claude["available"], claude["access"]) == (True, "own")
    [claude] = (await read(stocked, "models", stocked.token("ten_b"), search="haiku-4-5"))["data"]
    assert not claude["available"]
    [made] = (await read(stocked, "provider-credentials"))["data"]
    gone = await stocked.client.delete(f"/api/v1/provider-credentials/{made['id']}", headers=owner)
    assert gone.status_code == 204
    assert not (await read(stocked, "models", search="haiku-4-5"))["data"][0]["available"]


async def test_models_and_voices_have_the_list_prices_of_today(stocked):
    day = Caller.system(TenantId(""), Environment.LIVE)
    async with begin_as_system(stocked.database, day) as work:
        await keep_catalogue(work)
    [gpt] = (await read(stocked, "models", search="gpt-4o-mini"))["data"]
    assert [(price["kind"], price["unit"], price["usd"], price["isExact"]) for price in gpt["prices"]] == [
        ("llm_input", "million_tokens", 0.15, True),
        ("llm_output", "million_tokens", 0.6, True),
        ("llm_cached", "million_tokens", 0.075, True),
    ]
    assert gpt["prices"][0]["source"]
    [kore] = (await read(stocked, "voices", search="en-US-Chirp3-HD-Kore"))["data"]
    assert [(price["kind"], price["unit"], price["usd"]) for price in kore["prices"]] == [
        ("tts", "thousand_characters", 0.03)
    ]
    listed = await every(stocked, "models")
    assert [model["id"] for model in listed if not model["prices"]] == []
    spoken = {model["id"]: model["prices"][0]["usd"] for model in listed if model["kind"] == "tts"}
    assert (spoken["neural2"], spoken["eleven_flash_v2_5"], spoken["hibari"]) == (0.016, 0.04, 0.0)


async def test_lists_are_filtered_and_paged(stocked):
    recognisers = await every(stocked, "models", kind="stt", language="pt-BR")
    assert {"deepgram", "aws"} <= {model["provider"] for model in recognisers}
    assert "local" not in {model["provider"] for model in recognisers}
    assert {model["kind"] for model in recognisers} == {"stt"}
    usable = await every(stocked, "models", available="true")
    assert {model["provider"] for model in usable} == {"openai", "google", "elevenlabs", "local"}
    first = await read(stocked, "voices", provider="google", language="fr-CA", pageSize=7)
    rest = await read(stocked, "voices", provider="google", language="fr-CA", pageSize=7, page=5)
    assert (first["total"], len(first["data"]), first["totalPages"], len(rest["data"])) == (30, 7, 5, 2)
    [kore] = (await read(stocked, "voices", search="fr-CA-Chirp3-HD-Kore"))["data"]
    assert (kore["gender"], kore["languages"], kore["model"], kore["available"]) == (
        "female",
        ["fr-CA"],
        "chirp3-hd",
        False,
    )
    assert (await read(stocked, "voices", search="no such voice"))["total"] == 0
    wrong = await stocked.client.get("/api/v1/models?kind=smell", headers=stocked.token("ten_a"))
    assert wrong.status_code == 422


async def test_agents_are_saved_with_warnings_never_refused_for_them(stocked):
    owner = stocked.token("ten_a")
    body = {
        "name": "Aria",
        "persona": {"name": "Aria"},
        "voice": {"provider": "elevenlabs", "voiceId": "EXAVITQu4vr4xnSDxMaL"},
        "llm": {"provider": "openai", "model": "gpt-4o-2024-08-06"},
        "transcription": {"provider": "local"},
        "systemPromptTemplate": "Be kind.",
    }
    created = await stocked.client.post("/api/v1/agents", json=body, headers=owner)
    assert (created.status_code, created.json()["warnings"]) == (201, [])
    url = created.headers["location"]
    patch = {
        "llm": {"model": "gpt-99"},
        "voice": {"voiceId": "nobody"},
        "transcription": {"language": "es-MX"},
        "fallbacks": {
            "llm": [{"provider": "anthropic", "model": "claude-haiku-4-5"}, {"provider": "openai_compatible", "model": "x", "baseUrl": "https://x.test"}],
            "voice": [{"provider": "local", "voiceId": "heart"}],
            "transcription": [{"provider": "deepgram", "model": "supernova"}],
        },
    }  # fmt: skip
    changed = await stocked.client.patch(url, json=patch, headers=owner)
    assert changed.status_code == 200, changed.text
    found = [(warning["pointer"], warning["code"]) for warning in changed.json()["warnings"]]
    assert found == [
        ("/llm/model", "unknown-model"),
        ("/fallbacks/llm/0/provider", "provider-not-configured"),
        ("/voice/voiceId", "unknown-voice"),
        ("/transcription/language", "language-not-supported"),
        ("/fallbacks/transcription/0/provider", "provider-not-configured"),
        ("/fallbacks/transcription/0/model", "unknown-model"),
    ]
    spanish = {"transcription": {"provider": "assemblyai", "language": "es-MX"}, "fallbacks": None}
    answer = await stocked.client.patch(url, json=spanish, headers=owner)
    assert "/transcription/language" not in {warning["pointer"] for warning in answer.json()["warnings"]}
    changed = await stocked.client.patch(url, json=patch | {"transcription": {"provider": "local"}}, headers=owner)
    read_again = await stocked.client.get(url, headers=owner)
    assert read_again.json() == changed.json()
    sent_back = {"warnings": changed.json()["warnings"], "llm": changed.json()["llm"]}
    assert (await stocked.client.patch(url, json=sent_back, headers=owner)).status_code == 200
    listed = await stocked.client.get("/api/v1/agents", headers=owner)
    assert "warnings" not in listed.json()["data"][0]
