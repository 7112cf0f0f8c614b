"""Writes the generated contracts from the structs: `python -m voisnap_proto.generate [--check]`.

`schemas/<tag>.json` (JSON Schema 2020-12), `examples/<tag>.json`, `asyncapi.json` (AsyncAPI 3.0) and `SUBJECTS.md`. With `--check`
nothing is written: it names every file that differs and every incompatible change of a committed schema, and exits with 1.
"""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from .compatibility import breaks
from .events import subject_of, tag_of
from .registry import TOPICS
from .requests import REQUESTS

FOLDER = Path(__file__).resolve().parent.parent


def render() -> dict[str, str]:
    """Every generated file: path below `proto/` → its text."""
    files: dict[str, str] = {}
    for topic in TOPICS:
        tag = tag_of(topic.event)
        files[f"schemas/{tag}.json"] = _json(_schema(topic.event))
        files[f"examples/{tag}.json"] = _json(msgspec.json.decode(msgspec.json.encode(topic.example)))
    for subject, (request, reply) in REQUESTS.items():
        files[f"schemas/{subject}.request.json"] = _json(_schema(request))
        files[f"schemas/{subject}.reply.json"] = _json(_schema(reply))
    files["asyncapi.json"] = _json(_asyncapi())
    files["SUBJECTS.md"] = _subjects()
    return files


def _schema(kind: type) -> dict[str, Any]:
    (ref,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": ref["$ref"],
        "$defs": dict(sorted(components.items())),
    }


def _asyncapi() -> dict[str, Any]:
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for topic in TOPICS:
        tag = tag_of(topic.event)
        summary = (topic.event.__doc__ or "").strip().splitlines()[0]
        channels[tag] = {
            "address": subject_of(topic.event),
            "messages": {tag: {"summary": summary, "payload": {"$ref": f"./schemas/{tag}.json"}}},
        }
        operations[f"{topic.producer}.send.{tag}"] = {"action": "send", "channel": {"$ref": f"#/channels/{tag}"}}
        for consumer in topic.consumers:
            operations[f"{consumer}.receive.{tag}"] = {"action": "receive", "channel": {"$ref": f"#/channels/{tag}"}}
    for subject in REQUESTS:
        channels[subject] = {
            "address": subject,
            "messages": {
                "request": {"payload": {"$ref": f"./schemas/{subject}.request.json"}},
                "reply": {"payload": {"$ref": f"./schemas/{subject}.reply.json"}},
            },
        }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Voisnap internal messages", "version": "1"},
        "channels": channels,
        "operations": operations,
    }


def _subjects() -> str:
    lines = [
        "# Subjects",
        "",
        "Generated from `voisnap_proto`; `make proto` writes it anew.",
        "",
        "## Events (JetStream stream `EVENTS`)",
        "",
    ]
    lines += ["| subject | says it | listens | meaning |", "|---|---|---|---|"]
    for topic in TOPICS:
        summary = (topic.event.__doc__ or "").strip().splitlines()[0]
        listeners = ", ".join(topic.consumers) or "nobody yet"
        lines.append(f"| `{subject_of(topic.event)}` | {topic.producer} | {listeners} | {summary} |")
    lines += ["", "## Requests (request/reply)", "", "| subject | request | reply |", "|---|---|---|"]
    lines += [
        f"| `{subject}` | {request.__name__} | {reply.__name__} |" for subject, (request, reply) in REQUESTS.items()
    ]
    return "\n".join(lines) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def check(folder: Path = FOLDER) -> list[str]:
    """What is wrong with the committed files: one sentence each, empty when they are true."""
    problems: list[str] = []
    rendered = render()
    for name, text in rendered.items():
        path = folder / name
        if not path.exists():
            problems.append(f"proto/{name} is missing; run `make proto`.")
            continue
        if path.read_text() == text:
            continue
        problems.append(f"proto/{name} differs from the structs; run `make proto` and commit it.")
        if name.startswith("schemas/"):
            problems += [f"proto/{name}: {reason}" for reason in breaks(json.loads(path.read_text()), json.loads(text))]
    known = set(rendered)
    for path in sorted((*folder.glob("schemas/*.json"), *folder.glob("examples/*.json"))):
        if path.relative_to(folder).as_posix() not in known:
            problems.append(
                f"proto/{path.relative_to(folder)} belongs to no message; a published tag is never removed."
            )
    return problems


def write(folder: Path = FOLDER) -> None:
    """Write every generated file."""
    for name, text in render().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        found = check()
        sys.stdout.write("".join(f"{line}\n" for line in found))
        sys.exit(1 if found else 0)
    write()
