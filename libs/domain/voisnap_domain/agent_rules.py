"""What an agent's configuration must keep to: ranges, lengths, forms (decisions, "Agents").

`violations` finds every fault at once, so that an owner mends a configuration in one go.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec

from .agents import (
    AgentConfig,
    ChannelSettings,
    CustomFieldType,
    Llm,
    LlmProvider,
    Tool,
    ToolType,
    Transcription,
    Voice,
    VoiceProvider,
)
from .endpoints import endpoint_fault, origin_fault
from .errors import FieldError
from .languages import language_tag

MAX_TAGS = 50
MAX_TAG_CHARS = 100
MAX_PHRASES = 50
MAX_PHRASE_CHARS = 200
MAX_FILLERS = 20
MAX_FILLER_CHARS = 200
MAX_KNOWLEDGE_BASES = 100
MAX_CUSTOM_FIELDS = 50
MAX_OPTIONS = 100
MAX_VARIABLES = 100
MAX_VARIABLES_BYTES = 16_384
MAX_TOOLS = 64
MAX_PARAMETERS = 50
MAX_MAPPINGS = 50
MAX_TOOL_CONFIG_BYTES = 16_384
MAX_FALLBACKS = 5
MAX_TARGETS = 50
MAX_ORIGINS = 50
MAX_LOOKS_BYTES = 16_384
MAX_PRONUNCIATIONS = 200

_KNOWLEDGE_BASE = re.compile(r"kb_[A-Za-z0-9]{1,64}")
_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][\w.-]{0,99}", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}")
_E164 = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_SIP = re.compile(r"sips?:[^\s@;?]+@[^\s@;?]+(?:[;?]\S*)?")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_MULTILINGUAL = "multi"
"""What recognisers call the setting that follows the speaker from one language to another."""

_RANGES: tuple[tuple[str, float, float], ...] = (
    ("max_duration_seconds", 30, 3600),
    ("max_idle_time_seconds", 5, 60),
    ("silence_detection.timeout_seconds", 1, 60),
    ("endpointing.silence_duration_ms", 100, 5000),
    ("endpointing.utterance_end_ms", 300, 10000),
    ("fillers.delay_ms", 500, 10000),
    ("recording.storage_retention_days", 1, 3650),
    ("transfer.ring_seconds", 5, 120),
)
_LENGTHS: tuple[tuple[str, int, int], ...] = (
    ("name", 1, 100),
    ("description", 0, 2000),
    ("persona.name", 1, 100),
    ("persona.personality", 0, 1000),
    ("persona.role", 0, 200),
    ("system_prompt_template", 1, 100_000),
    ("first_message", 0, 2000),
    ("ai_disclosure_message", 0, 2000),
    ("voicemail_detection.message", 0, 2000),
    ("silence_detection.message", 0, 500),
)
_VOICE_RANGES: tuple[tuple[str, float, float], ...] = (
    ("stability", 0, 1),
    ("similarity_boost", 0, 1),
    ("style", 0, 1),
    ("speed", 0.5, 2),
)
_ELEVENLABS_SPEED = (0.7, 1.2)
_LLM_RANGES: tuple[tuple[str, float, float], ...] = (
    ("temperature", 0, 2),
    ("max_tokens", 1, 4096),
    ("top_p", 0, 1),
    ("frequency_penalty", -2, 2),
    ("presence_penalty", -2, 2),
)
_CHANNEL_LENGTHS: tuple[tuple[str, int, int], ...] = (("first_message", 0, 2000), ("system_prompt_append", 0, 20_000))
_CHANNEL_RANGES: tuple[tuple[str, float, float], ...] = (
    ("max_duration_seconds", 30, 3600),
    ("idle_minutes", 1, 7 * 24 * 60),
)


def violations(config: AgentConfig) -> tuple[FieldError, ...]:
    """Every field of `config` that breaks a rule, as camelCase JSON pointers."""
    return (
        *_lengths(config, "", _LENGTHS),
        *_ranges(config, "", _RANGES),
        *_voice(config.voice, "/voice"),
        *_llm(config.llm, "/llm"),
        *_transcription(config.transcription, "/transcription"),
        *_texts(config.end_call_phrases, "/endCallPhrases", most=MAX_PHRASES, longest=MAX_PHRASE_CHARS),
        *_texts(config.fillers.phrases, "/fillers/phrases", most=MAX_FILLERS, longest=MAX_FILLER_CHARS),
        *_texts(config.tags, "/tags", most=MAX_TAGS, longest=MAX_TAG_CHARS),
        *_tag_commas(config.tags),
        *_knowledge_bases(config.knowledge_base_ids),
        *_form(config.cost_tracking.currency, "/costTracking/currency", _CURRENCY, "a currency code such as USD"),
        *_custom_fields(config),
        *_variables(config.variables),
        *_tools(config.tools),
        *_channels(config),
        *_fallbacks(config),
        *_transfer(config),
        *_widget(config),
        *_pronunciations(config),
    )


def range_rules() -> tuple[tuple[str, float, float], ...]:
    """The least and the most of every number of a configuration, by its path; a vendor may allow less."""
    return (
        *_RANGES,
        *((f"voice.{name}", least, most) for name, least, most in _VOICE_RANGES),
        *((f"llm.{name}", least, most) for name, least, most in _LLM_RANGES),
    )


def length_rules() -> tuple[tuple[str, int, int], ...]:
    """How many characters every text of a configuration has at least and at most, by its path."""
    return _LENGTHS


def camel(name: str) -> str:
    """`silence_duration_ms` → `silenceDurationMs`, the spelling of the wire."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def phone_number_fault(number: str) -> str | None:
    """Why a text is no telephone number in international form (ITU-T E.164); None when it is one."""
    return None if _E164.fullmatch(number) else "must be a number in E.164 form such as +14155550100"


def sip_address_fault(address: str) -> str | None:
    """Why a text is no SIP address; None when it is one."""
    return (
        None
        if _SIP.fullmatch(address) and len(address) <= 500
        else "must be a SIP address such as sip:desk@example.com"
    )


# Providers


def _voice(voice: Voice, at: str) -> Iterator[FieldError]:
    ranges = dict(_named(_VOICE_RANGES))
    if voice.provider is VoiceProvider.ELEVENLABS:
        ranges["speed"] = _ELEVENLABS_SPEED
    yield from _lengths(voice, at, (("voice_id", 1, 200),))
    yield from _ranges(voice, at, tuple((name, low, high) for name, (low, high) in ranges.items()))


def _llm(llm: Llm, at: str) -> Iterator[FieldError]:
    yield from _lengths(llm, at, (("model", 1, 200),))
    yield from _ranges(llm, at, _LLM_RANGES)
    pointer = f"{at}/baseUrl"
    if llm.base_url is None:
        if llm.provider is LlmProvider.OPENAI_COMPATIBLE:
            yield _error(pointer, "required", "openai_compatible needs a baseUrl")
    elif llm.provider is not LlmProvider.OPENAI_COMPATIBLE:
        yield _error(pointer, "not-allowed", "is for the provider openai_compatible only")
    elif fault := endpoint_fault(llm.base_url):
        yield _error(pointer, "bad-url", fault)


def _transcription(transcription: Transcription, at: str) -> Iterator[FieldError]:
    yield from _lengths(transcription, at, (("model", 1, 200),))
    language = transcription.language
    if language != _MULTILINGUAL and language_tag(language) is None:
        yield _error(f"{at}/language", "bad-language", "must be a BCP 47 language tag such as es-MX, or multi")


def _fallbacks(config: AgentConfig) -> Iterator[FieldError]:
    fallbacks = config.fallbacks
    for kind, providers in (
        ("llm", fallbacks.llm),
        ("voice", fallbacks.voice),
        ("transcription", fallbacks.transcription),
    ):
        yield from _count(providers, f"/fallbacks/{kind}", MAX_FALLBACKS)
    for index, llm in enumerate(fallbacks.llm):
        yield from _llm(llm, f"/fallbacks/llm/{index}")
    for index, voice in enumerate(fallbacks.voice):
        yield from _voice(voice, f"/fallbacks/voice/{index}")
    for index, transcription in enumerate(fallbacks.transcription):
        yield from _transcription(transcription, f"/fallbacks/transcription/{index}")


# Behaviour


def _tag_commas(tags: tuple[str, ...]) -> Iterator[FieldError]:
    for index, tag in enumerate(tags):
        if "," in tag:
            yield _error(
                f"/tags/{index}",
                "wrong-format",
                "must not have a comma: lists are filtered by tags with commas between",
            )


def _knowledge_bases(ids: tuple[str, ...]) -> Iterator[FieldError]:
    yield from _count(ids, "/knowledgeBaseIds", MAX_KNOWLEDGE_BASES)
    for index, id in enumerate(ids):
        yield from _form(id, f"/knowledgeBaseIds/{index}", _KNOWLEDGE_BASE, "the id of a knowledge base, kb_…")
    yield from _unique(ids, "/knowledgeBaseIds", "")


def _custom_fields(config: AgentConfig) -> Iterator[FieldError]:
    at = "/analysisConfig/customFields"
    fields = config.analysis_config.custom_fields
    yield from _count(fields, at, MAX_CUSTOM_FIELDS)
    for index, field in enumerate(fields):
        place = f"{at}/{index}"
        yield from _lengths(field, place, (("name", 1, 100),))
        if field.type is CustomFieldType.ENUM and not field.options:
            yield _error(f"{place}/options", "required", "an enum needs its options")
        elif field.type is not CustomFieldType.ENUM and field.options:
            yield _error(f"{place}/options", "not-allowed", "only an enum has options")
        yield from _texts(field.options, f"{place}/options", most=MAX_OPTIONS, longest=200)
        yield from _unique(field.options, f"{place}/options", "")
    yield from _unique([field.name for field in fields], at, "/name")


def _variables(variables: Mapping[str, Any]) -> Iterator[FieldError]:
    if len(variables) > MAX_VARIABLES:
        yield _error("/variables", "too-many", f"must have at most {MAX_VARIABLES} variables")
    yield from _size(variables, "/variables", MAX_VARIABLES_BYTES)
    for name in variables:
        if not _VARIABLE.fullmatch(name):
            detail = "a variable's name begins with a letter and has letters, digits, dots, hyphens and underscores"
            yield _error(f"/variables/{_escaped(name)}", "bad-name", detail)


def _tools(tools: tuple[Tool, ...]) -> Iterator[FieldError]:
    yield from _count(tools, "/tools", MAX_TOOLS)
    for index, tool in enumerate(tools):
        at = f"/tools/{index}"
        yield from _form(tool.name, f"{at}/name", _FUNCTION, "a function name: letters, digits, _ and -, at most 64")
        yield from _lengths(tool, at, (("description", 1, 2000),))
        yield from _size(tool.config, f"{at}/config", MAX_TOOL_CONFIG_BYTES)
        if tool.type is ToolType.REST_API:
            yield from _rest_api(tool.config, f"{at}/config")
        yield from _parameters(tool, at)
        yield from _response_mapping(tool.response_mapping, f"{at}/responseMapping")
    yield from _unique([tool.name for tool in tools], "/tools", "/name")


def _rest_api(config: Mapping[str, Any], at: str) -> Iterator[FieldError]:
    url = config.get("url")
    if url is None:
        yield _error(f"{at}/url", "required", "rest_api needs a url")
    elif not isinstance(url, str):
        yield _error(f"{at}/url", "wrong-type", "must be a string")
    elif fault := endpoint_fault(url, placeholders=True):
        yield _error(f"{at}/url", "bad-url", fault)
    if config.get("method", "GET") not in _METHODS:
        yield _error(f"{at}/method", "not-allowed", f"must be one of {', '.join(_METHODS)}")
    for name in ("headers", "queryParams"):
        pairs = config.get(name, {})
        if not isinstance(pairs, Mapping) or not all(isinstance(value, str) for value in pairs.values()):
            yield _error(f"{at}/{name}", "wrong-type", "must be an object of strings")


def _parameters(tool: Tool, at: str) -> Iterator[FieldError]:
    yield from _count(tool.parameters, f"{at}/parameters", MAX_PARAMETERS)
    for index, parameter in enumerate(tool.parameters):
        place = f"{at}/parameters/{index}"
        yield from _form(parameter.name, f"{place}/name", _FUNCTION, "a name: letters, digits, _ and -, at most 64")
        yield from _lengths(parameter, place, (("description", 0, 1000), ("source", 1, 100)))
    yield from _unique([parameter.name for parameter in tool.parameters], f"{at}/parameters", "/name")


def _response_mapping(mapping: Mapping[str, str], at: str) -> Iterator[FieldError]:
    if len(mapping) > MAX_MAPPINGS:
        yield _error(at, "too-many", f"must have at most {MAX_MAPPINGS} members")
    for name, path in mapping.items():
        if not path.startswith("$") or len(path) > 500:
            yield _error(f"{at}/{_escaped(name)}", "wrong-format", "must be a JSONPath that begins with $")


def _channels(config: AgentConfig) -> Iterator[FieldError]:
    for name in config.channels.__struct_fields__:
        settings: ChannelSettings = getattr(config.channels, name)
        yield from _lengths(settings, f"/channels/{name}", _CHANNEL_LENGTHS)
        yield from _ranges(settings, f"/channels/{name}", _CHANNEL_RANGES)


def _transfer(config: AgentConfig) -> Iterator[FieldError]:
    at = "/transfer/targets"
    targets = config.transfer.targets
    yield from _count(targets, at, MAX_TARGETS)
    for index, target in enumerate(targets):
        place = f"{at}/{index}"
        yield from _lengths(target, place, (("name", 1, 100), ("description", 0, 1000)))
        if (target.phone_number is None) == (target.sip_uri is None):
            yield _error(place, "required", "needs either a phoneNumber or a sipUri")
        if target.phone_number is not None and (fault := phone_number_fault(target.phone_number)):
            yield _error(f"{place}/phoneNumber", "wrong-format", fault)
        if target.sip_uri is not None:
            yield from _form(target.sip_uri, f"{place}/sipUri", _SIP, "a SIP address such as sip:desk@example.com")
    yield from _unique([target.name for target in targets], at, "/name")


def _widget(config: AgentConfig) -> Iterator[FieldError]:
    origins = config.widget.allowed_origins
    yield from _count(origins, "/widget/allowedOrigins", MAX_ORIGINS)
    for index, origin in enumerate(origins):
        if fault := origin_fault(origin):
            yield _error(f"/widget/allowedOrigins/{index}", "bad-origin", fault)
    yield from _size(config.widget.theme, "/widget/theme", MAX_LOOKS_BYTES)
    yield from _size(config.widget.ui_config, "/widget/uiConfig", MAX_LOOKS_BYTES)


def _pronunciations(config: AgentConfig) -> Iterator[FieldError]:
    yield from _count(config.pronunciations, "/pronunciations", MAX_PRONUNCIATIONS)
    for index, entry in enumerate(config.pronunciations):
        yield from _lengths(entry, f"/pronunciations/{index}", (("text", 1, 100), ("pronunciation", 1, 200)))
    yield from _unique([entry.text.lower() for entry in config.pronunciations], "/pronunciations", "/text")


# Kinds of rules


def _ranges(struct: msgspec.Struct, at: str, ranges: tuple[tuple[str, float, float], ...]) -> Iterator[FieldError]:
    for path, low, high in ranges:
        value = _value_at(path)(struct)
        if value is not None and not low <= value <= high:
            yield _error(at + _pointer(path), "out-of-range", f"must be between {low:g} and {high:g}")


def _lengths(struct: msgspec.Struct, at: str, lengths: tuple[tuple[str, int, int], ...]) -> Iterator[FieldError]:
    for path, shortest, longest in lengths:
        value = _value_at(path)(struct)
        if value is not None and not _fits(value, shortest, longest):
            yield _bad_length(at + _pointer(path), shortest, longest)


def _texts(texts: tuple[str, ...], at: str, *, most: int, longest: int) -> Iterator[FieldError]:
    """A list of texts that say something."""
    yield from _count(texts, at, most)
    for index, text in enumerate(texts):
        if not _fits(text, 1, longest):
            yield _bad_length(f"{at}/{index}", 1, longest)


def _fits(text: str, shortest: int, longest: int) -> bool:
    return shortest <= len(text.strip() if shortest else text) and len(text) <= longest


def _bad_length(at: str, shortest: int, longest: int) -> FieldError:
    detail = f"must have {shortest} to {longest} characters" if shortest else f"must have at most {longest} characters"
    return _error(at, "bad-length", detail)


def _count(items: tuple[Any, ...], at: str, most: int) -> Iterator[FieldError]:
    if len(items) > most:
        yield _error(at, "too-many", f"must have at most {most} entries")


def _unique(names: Iterable[str], at: str, below: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield _error(f"{at}/{index}{below}", "duplicate", "is there twice")
        seen.add(name)


def _form(text: str, at: str, form: re.Pattern[str], what: str) -> Iterator[FieldError]:
    if not form.fullmatch(text):
        yield _error(at, "wrong-format", f"must be {what}")


def _size(value: Mapping[str, Any], at: str, most: int) -> Iterator[FieldError]:
    if len(msgspec.json.encode(value)) > most:
        yield _error(at, "too-large", f"must be at most {most} bytes of JSON")


def _named(ranges: tuple[tuple[str, float, float], ...]) -> Iterator[tuple[str, tuple[float, float]]]:
    return ((name, (low, high)) for name, low, high in ranges)


@cache
def _value_at(path: str) -> Callable[[msgspec.Struct], Any]:
    return attrgetter(path)


@cache
def _pointer(path: str) -> str:
    return "/" + "/".join(camel(name) for name in path.split("."))


def _escaped(name: str) -> str:
    """A name as a reference token (RFC 6901 §3)."""
    return name.replace("~", "~0").replace("/", "~1")


def _error(pointer: str, code: str, detail: str) -> FieldError:
    return FieldError(pointer=pointer, code=code, detail=detail)
