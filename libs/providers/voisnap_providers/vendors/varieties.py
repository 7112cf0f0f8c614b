"""Which variety a language alone means, for vendors who want one (`cs` -> `cs-CZ`): that of most of its speakers' countries."""

from collections.abc import Mapping

_TAGS = (
    "af-ZA ar-SA bg-BG bn-IN ca-ES cs-CZ cy-GB da-DK de-DE el-GR en-US es-ES et-EE eu-ES fa-IR fi-FI fil-PH fr-FR ga-IE gl-ES gu-IN "
    "he-IL hi-IN hr-HR hu-HU hy-AM id-ID is-IS it-IT ja-JP ka-GE kk-KZ kn-IN ko-KR lt-LT lv-LV mk-MK ml-IN mr-IN ms-MY mt-MT nb-NO "
    "nl-NL no-NO pa-IN pl-PL pt-BR ro-RO ru-RU sk-SK sl-SI so-SO sq-AL sr-RS sv-SE sw-KE ta-IN te-IN th-TH tl-PH tr-TR uk-UA ur-PK "
    "uz-UZ vi-VN zh-CN zu-ZA"
)
VARIETIES: Mapping[str, str] = {tag.partition("-")[0]: tag for tag in _TAGS.split()}


def variety(language: str, vendors: Mapping[str, str]) -> str:
    """The tag to send: `vendors` holds where a vendor means another variety. A tag with a variety stays as it is."""
    return vendors.get(language) or VARIETIES.get(language, language)
