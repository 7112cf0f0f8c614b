"""The `voisnap` command. Each verb's module is imported only when it is asked for, so that the command starts at once."""

import argparse
import importlib
import sys

COMMANDS = {
    "up": "voisnap_stack.up",
    "call": "voisnap_stack.call_command",
    "simulate": "voisnap_stack.simulate",
    "load": "voisnap_stack.load",
    "doctor": "voisnap_stack.doctor",
    "models": "voisnap_stack.models",
    "status": "voisnap_stack.remote",
    "restart": "voisnap_stack.remote",
    "logs": "voisnap_stack.remote",
}
"""Verb → module with `add_parser(subparsers)` and `run(args) -> int`."""

HELP = """usage: voisnap <command> [options]

run
  up         run the whole platform on this machine
  status     what runs and how it is
  restart    restart one part: api, api-worker, runtime (runtime-2 …), reaper, admin, postgres, valkey, nats, caddy, turn,
             simulator
  logs       show the logs of one part or of all

use
  call       talk to an agent from the command line
  simulate   call an agent, be called or write to one, over carriers simulated on this machine
  load       measure how many callers this installation carries

look after
  doctor     check this installation and say what to change
  models     fetch and check the speech and language models

`voisnap <command> --help` says more.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    verb = arguments[0]
    if verb not in COMMANDS:
        print(f"voisnap: there is no command {verb}\n\n{HELP}", file=sys.stderr, end="")
        return 2
    module = importlib.import_module(COMMANDS[verb])
    parser = argparse.ArgumentParser(prog="voisnap")
    module.add_parser(parser.add_subparsers(dest="command", required=True))
    try:
        return module.run(parser.parse_args(arguments))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
