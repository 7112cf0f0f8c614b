"""Free loopback ports that a state folder keeps from run to run."""

import json
import socket
from collections.abc import Iterable
from pathlib import Path

LOOPBACK = "127.0.0.1"


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now. False also when the address is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def keep_ports(file: Path, names: Iterable[str], *, fresh: Iterable[str] = ()) -> dict[str, int]:
    """A port for each name: the one noted in `file` if it is still free, else another. `fresh` names get another in any case."""
    try:
        known: dict[str, int] = json.loads(file.read_text())
    except (OSError, ValueError):
        known = {}
    renewed = set(fresh)
    chosen: dict[str, int] = {}
    held: list[socket.socket] = []
    try:
        for name in names:
            wanted = 0 if name in renewed else known.get(name, 0)
            if wanted and (wanted in chosen.values() or not is_free(LOOPBACK, wanted)):
                wanted = 0
            holder = socket.socket()
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind((LOOPBACK, wanted))
            held.append(holder)
            chosen[name] = holder.getsockname()[1]
    finally:
        for holder in held:
            holder.close()
    if chosen != {name: known.get(name) for name in chosen}:
        fresh_file = file.with_suffix(".new")
        fresh_file.write_text(json.dumps({**known, **chosen}, indent=1))
        fresh_file.replace(file)
    return chosen
