"""Names of languages: BCP 47 tags, and the English names that people write instead."""

import re

_TAG = re.compile(r"(?P<language>[A-Za-z]{2,3})(?:-(?P<script>[A-Za-z]{4}))?(?:-(?P<region>[A-Za-z]{2}|[0-9]{3}))?")

_NAMED = {
    "arabic": "ar",
    "chinese": "zh",
    "czech": "cs",
    "danish": "da",
    "dutch": "nl",
    "english": "en",
    "finnish": "fi",
    "french": "fr",
    "german": "de",
    "greek": "el",
    "hebrew": "he",
    "hindi": "hi",
    "hungarian": "hu",
    "indonesian": "id",
    "italian": "it",
    "japanese": "ja",
    "korean": "ko",
    "norwegian": "no",
    "polish": "pl",
    "portuguese": "pt",
    "romanian": "ro",
    "russian": "ru",
    "spanish": "es",
    "swedish": "sv",
    "thai": "th",
    "turkish": "tr",
    "ukrainian": "uk",
    "vietnamese": "vi",
}
"""ISO 639-1 codes by their English names."""


def language_tag(text: str) -> str | None:
    """The tag that `text` means, in its usual spelling (`es-mx` → `es-MX`, `English` → `en`); None for anything else.

    Language, script and region only (RFC 5646 §2.1); nobody's speech recognition knows more.
    """
    text = text.strip().replace("_", "-")
    if named := _NAMED.get(text.lower()):
        return named
    found = _TAG.fullmatch(text)
    if found is None:
        return None
    language, script, region = found.group("language", "script", "region")
    parts = (language.lower(), script and script.title(), region and region.upper())
    return "-".join(part for part in parts if part)
