"""OpenTelemetry set-up and W3C trace context through HTTP and NATS headers."""

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .ids import new_id

_PROPAGATOR = TraceContextTextMapPropagator()
_TRACER = trace.get_tracer("voisnap")
_IDS = RandomIdGenerator()
_NOWHERE = otel_context.Context()
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_is_unseen = False
"""Whether spans go nowhere. Then only their ids matter, and nothing is recorded in them."""


def configure(service: str, endpoint: str | None = None) -> TracerProvider:
    """Install the process's tracer. Spans are exported by OTLP/HTTP only if `endpoint` (its base URL) is given; trace ids exist either way.

    A process configures once; later calls return the first provider.
    """
    global _is_unseen
    current = trace.get_tracer_provider()
    if isinstance(current, TracerProvider):
        return current
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    if endpoint:
        provider.add_span_processor(_exporting(f"{endpoint.rstrip('/')}/v1/traces"))
    trace.set_tracer_provider(provider)
    _is_unseen = not endpoint
    return provider


def _exporting(url: str) -> SpanProcessor:
    # 60 ms, with protobuf and requests, of every process whose spans go nowhere
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    return BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=2), max_queue_size=2048)


def inject(headers: MutableMapping[str, str]) -> None:
    """Write the current span's `traceparent` into headers."""
    _PROPAGATOR.inject(headers)


def extract(headers: Mapping[str, str] | None) -> otel_context.Context:
    """The remote context that headers carry, or an empty one."""
    return _PROPAGATOR.extract(headers, context=_NOWHERE) if headers else _NOWHERE


@contextmanager
def span(
    name: str, *, kind: SpanKind = SpanKind.INTERNAL, parent: otel_context.Context | None = None, **attributes: Any
) -> Iterator[Span]:
    """A span around a block; an exception marks it as failed and propagates."""
    if _is_unseen:
        unseen = _unseen(parent)
        token = otel_context.attach(trace.set_span_in_context(unseen, parent))
        try:
            yield unseen
        finally:
            otel_context.detach(token)
        return
    with _TRACER.start_as_current_span(name, context=parent, kind=kind, attributes=attributes) as current:
        yield current


def _unseen(parent: otel_context.Context | None) -> Span:
    """A span that has ids and nothing else, in its parent's trace if it has one."""
    above = trace.get_current_span(parent).get_span_context()
    if above.is_valid:
        return NonRecordingSpan(
            SpanContext(above.trace_id, _IDS.generate_span_id(), False, above.trace_flags, above.trace_state)
        )
    return NonRecordingSpan(SpanContext(_IDS.generate_trace_id(), _IDS.generate_span_id(), False, _SAMPLED))


def trace_id() -> str:
    """The id to quote to support: `trace_` and the current trace's id, or a new one outside every trace."""
    context = trace.get_current_span().get_span_context()
    return f"trace_{context.trace_id:032x}" if context.is_valid else new_id("trace")
