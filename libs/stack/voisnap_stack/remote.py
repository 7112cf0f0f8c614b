"""`voisnap status`, `restart` and `logs`: talk to the running launcher, read what its parts wrote."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from .control import ask
from .home import Home, home_folder
from .supervise import StackError

FOLLOW_EVERY = 0.25


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    subparsers.add_parser("status", help="what runs and how it is; exit status 1 unless all is ready")
    restart = subparsers.add_parser("restart", help="restart one part and wait until it is ready")
    restart.add_argument(
        "part", help="api, api-worker, runtime (runtime-2 …), reaper, admin, postgres, valkey, nats, caddy or turn"
    )
    logs = subparsers.add_parser("logs", help="show the logs of one part, or of all")
    logs.add_argument("part", nargs="?")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")
    logs.add_argument("-n", "--lines", type=int, default=40, help="how many lines of each (40)")


def run(args: argparse.Namespace) -> int:
    home = home_folder()
    try:
        match args.command:
            case "restart":
                answer = ask(home.control_socket, "restart", args.part)
                print(f"{args.part} is ready again after {answer['seconds']} s")
                return 0
            case "logs":
                return _show_logs(home, args)
            case _:
                return _show_status(ask(home.control_socket, "status"))
    except StackError as error:
        print(f"voisnap: {error}", file=sys.stderr)
        return 1


def _show_status(answer: dict[str, Any]) -> int:
    health = answer["health"]
    print(f"{health['status']}  {answer['baseUrl']}")
    for name, part in health["parts"].items():
        pid = answer["pids"].get(name)
        print(f"  {name:11} {part['status']:9} {pid or '':>8}  {part.get('detail', '')}".rstrip())
    return 0 if health["status"] == "ready" else 1


def _show_logs(home: Home, args: argparse.Namespace) -> int:
    files = sorted(home.logs.glob(f"{args.part or '*'}.log"))
    if not files:
        raise StackError(f"there is no log of {args.part or 'any part'} in {home.logs}")
    places: dict[Path, int] = {}
    for path in files:
        text = path.read_text(errors="replace")
        places[path] = path.stat().st_size
        for line in text.splitlines()[-args.lines :]:
            print(f"{path.stem:11} {line}")
    while args.follow:
        time.sleep(FOLLOW_EVERY)
        for path in files:
            places[path] = _print_new(path, places[path])
    return 0


def _print_new(path: Path, place: int) -> int:
    size = path.stat().st_size if path.exists() else 0
    with path.open("rb") as file:
        file.seek(place if size >= place else 0)  # a shorter file is a new run's
        for line in file.read().decode(errors="replace").splitlines():
            print(f"{path.stem:11} {line}", flush=True)
        return file.tell()
