"""The examples of the OpenAPI document, taken from the documentation pages: `python -m voisnap_testkit.seed_examples FILE [--check]`."""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from .seed_pages import Kind, seed_page

_OBJECTS = {
    "agents": (
        "Agent object",
        (
            "POST /api/v1/agents",
            "GET /api/v1/agents/{agentId}",
            "PATCH /api/v1/agents/{agentId}",
            "POST /api/v1/agents/{agentId}/activate",
            "POST /api/v1/agents/{agentId}/deactivate",
            "POST /api/v1/agents/{agentId}/duplicate",
            "POST /api/v1/agents/{agentId}/publish",
        ),
        "GET /api/v1/agents",
    ),
    "conversations": (
        "Conversation object",
        (
            "GET /api/v1/conversations/{conversationId}",
            "POST /api/v1/conversations/{conversationId}/tags",
            "PUT /api/v1/conversations/{conversationId}/outcome",
        ),
        "GET /api/v1/conversations",
    ),
    "webrtc": ("", (), ""),
}
"""By page: the heading of its object, the operations that answer with it, and the one that answers with a page of it."""

_DATA = re.compile(r"-d '(.*)'", re.DOTALL)


def seed_examples() -> dict[str, dict[str, Any]]:
    """`{"POST /api/v1/agents": {"request": …, "response": …}}`, of every operation the pages print something for."""
    found: dict[str, dict[str, Any]] = {}
    for name, (heading, operations, listing) in _OBJECTS.items():
        page = seed_page(name)
        for operation in page.operations:
            for example in page.of_kind(Kind.CURL):
                if example.operation == operation and (data := _DATA.search(example.text)):
                    found.setdefault(operation, {})["request"] = json.loads(data[1])
            try:
                found.setdefault(operation, {})["response"] = page.response(operation)
            except KeyError:
                continue
        if heading:
            printed = page.object(heading)
            for operation in operations:
                found.setdefault(operation, {})["response"] = printed
            envelope = {"data": [printed], "page": 1, "pageSize": 20, "total": 1, "totalPages": 1}
            found.setdefault(listing, {})["response"] = envelope
    return {operation: parts for operation, parts in sorted(found.items()) if parts}


def main() -> int:
    """Write the file, or compare it; the exit status."""
    parser = argparse.ArgumentParser(
        description="Take the examples of the OpenAPI document from the documentation pages."
    )
    parser.add_argument("path", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the file differs")
    arguments = parser.parse_args()
    text = json.dumps(seed_examples(), indent=1, ensure_ascii=False) + "\n"
    if not arguments.check:
        arguments.path.write_text(text, encoding="utf-8")
        return 0
    if arguments.path.exists() and arguments.path.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{arguments.path} differs from the documentation pages; run `make proto` and commit it\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
