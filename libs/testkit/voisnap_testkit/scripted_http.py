"""A server on a real port that plays the answers a test writes down, and remembers what it was asked."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """What to answer: JSON (or bytes), and how."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    late: float = 0.0
    breaks: bool = False


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class ScriptedServer:
    """The answers still to give, by order, and the requests so far."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[Answer] = []
        self.asked: list[Asked] = []

    def plays(self, *answers: Answer) -> None:
        """Answer the next requests like this; the last one again and again."""
        self.answers = list(answers)


def problem(status: int, code: str, detail: str = "No.", **more: Any) -> Answer:
    """A problem document."""
    body = {
        "type": f"https://docs.voisnap.ai/errors/{code}",
        "title": "T",
        "status": status,
        "detail": detail,
        "traceId": "trace_1",
    }
    headers = {"content-type": "application/problem+json", "x-request-id": "req_1", **more.pop("headers", {})}
    return Answer(body | more, status, headers)


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    script = ScriptedServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            text = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            script.asked.append(Asked(self.command, self.path, headers, json.loads(text) if text else None))
            answer = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
            if answer.breaks:
                self.connection.close()
                return
            time.sleep(answer.late)
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            body = b"" if answer.status == 204 else body
            self.send_response(answer.status)
            for name, value in {"content-type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_OPTIONS = _answer  # noqa: N815

        def log_message(self, *_arguments: object) -> None:
            return

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    script.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield script
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
