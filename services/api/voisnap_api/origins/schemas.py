"""CORS settings on the wire."""

from voisnap_api.wire import Body, View


class CorsBody(Body, frozen=True, kw_only=True):
    """The origins of web pages that may read the API's answers, such as `https://shop.example.com`."""

    allowed_origins: tuple[str, ...]


class CorsView(View, frozen=True, kw_only=True):
    """The origins of web pages that may read the API's answers, sorted."""

    allowed_origins: tuple[str, ...]
