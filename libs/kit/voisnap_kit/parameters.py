"""All faults of a request's parameters at once. Litestar stops at the first dependency that refuses; this looks at every one."""

from collections.abc import Iterator
from typing import Any

from litestar import Request
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler
from litestar.params import HeaderParameter, ParameterKwarg, QueryParameter
from litestar.typing import FieldDefinition
from voisnap_domain.errors import FieldError

from . import validation


def faults(request: Request[Any, Any, Any]) -> tuple[FieldError, ...]:
    """What is wrong with the query and the headers; a parameter's pointer is `?name`, as it is no part of a document."""
    handler: BaseRouteHandler = request.scope["route_handler"]
    providers: list[BaseRouteHandler | Provide] = [handler, *handler.resolve_dependencies().values()]
    return tuple(fault for provider in providers for fault in _of(provider, request))


def _of(provider: Any, request: Request[Any, Any, Any]) -> Iterator[FieldError]:
    for field in provider.parsed_fn_signature.parameters.values():
        place, name = _place(field)
        values = request.query_params if place is QueryParameter else request.headers if place else None
        if values is None:
            continue
        if name not in values:
            if field.is_required:
                yield FieldError(pointer=f"?{name}", code="required", detail=f"{name} is required.")
            continue
        kind = provider.signature_model.__annotations__[field.name]
        given = values.getall(name) if field.is_non_string_sequence else values[name]
        for fault in validation.faults(kind, given, strict=False):
            yield FieldError(pointer=f"?{name}", code=fault.code, detail=f"{name}: {fault.detail}")


def _place(field: FieldDefinition) -> tuple[type[ParameterKwarg] | None, str]:
    """Query or header, and the wire's name."""
    for kind in (QueryParameter, HeaderParameter):
        for marker in (field.kwarg_definition, *field.metadata):
            if isinstance(marker, kind):
                return kind, marker.name or marker.query or marker.header or field.name
    return None, ""
