"""Free loopback ports that a state folder keeps from run to run."""

import errno
import json
import random
import socket
from collections.abc import Iterable
from pathlib import Path

LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 32_000)
"""Below what systems give to outgoing connections (Linux from 32768 on): one of those could sit on a port while its server restarts."""


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
            wanted = None if name in renewed else known.get(name)
            if wanted is None or wanted in chosen.values() or not is_free(LOOPBACK, wanted):
                wanted = _another({*known.values(), *chosen.values()})
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


def _another(taken: set[int]) -> int:
    """A free port that is none of `taken`. Raises OSError when a few hundred tries found none."""
    for _ in range(500):
        port = random.choice(PORTS)  # noqa: S311 - spreads ports, hides nothing
        if port not in taken and is_free(LOOPBACK, port):
            return port
    raise OSError(errno.EADDRINUSE, "no free port was found on loopback")
