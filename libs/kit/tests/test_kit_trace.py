"""Spans leave by OTLP when an endpoint is set; trace context survives headers."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from voisnap_kit import trace

pytestmark = pytest.mark.unit


class Collector:
    """Takes OTLP over HTTP on a free loopback port."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = ExportTraceServiceRequest()
                request.ParseFromString(body)
                collector.requests.append(request)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever)
    thread.start()
    yield collector
    collector.server.shutdown()
    thread.join()
    collector.server.server_close()


SCRIPT = """
import sys
from voisnap_kit import trace
trace.configure("api", sys.argv[1])
with trace.span("outer", agent_id="agt_1"):
    headers = {}
    trace.inject(headers)
with trace.span("inner", parent=trace.extract(headers)):
    pass
"""


def test_spans_reach_the_collector_before_the_process_ends(collector: Collector) -> None:
    subprocess.run([sys.executable, "-c", SCRIPT, collector.url], check=True, timeout=30, env={"NO_PROXY": "*"})  # noqa: S603
    resources = [resource for request in collector.requests for resource in request.resource_spans]
    spans = {span.name: span for resource in resources for scope in resource.scope_spans for span in scope.spans}
    services = {item.value.string_value for item in resources[0].resource.attributes if item.key == "service.name"}
    assert services == {"api"}
    assert spans["inner"].trace_id == spans["outer"].trace_id
    assert spans["inner"].parent_span_id == spans["outer"].span_id
    assert [(item.key, item.value.string_value) for item in spans["outer"].attributes] == [("agent_id", "agt_1")]


def test_headers_without_or_with_broken_context_begin_a_new_trace() -> None:
    trace.configure("test")
    for headers in (None, {}, {"traceparent": "nonsense"}):
        with trace.span("outer"), trace.span("request", parent=trace.extract(headers)) as span:
            assert span.get_span_context().is_valid
            assert trace.trace_id() == f"trace_{span.get_span_context().trace_id:032x}"


def test_outside_of_every_trace_there_is_still_an_id_to_quote() -> None:
    assert trace.trace_id().startswith("trace_")
    assert trace.trace_id() != trace.trace_id()
