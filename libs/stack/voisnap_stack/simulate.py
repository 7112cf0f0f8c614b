"""`voisnap simulate`: somebody calls an agent, is called by one, or writes to one, over the simulated carriers of this installation."""

import argparse
import importlib
from importlib.util import find_spec
from typing import Any

KINDS = {
    "call": "voisnap_stack.simulate_call",
    "sms": "voisnap_stack.simulate_messages",
    "whatsapp": "voisnap_stack.simulate_messages",
    "telegram": "voisnap_stack.simulate_messages",
}
"""What is simulated → module with `add_parser(subparsers, kind)`, which sets the function that runs it."""

_DESCRIPTION = """\
Uses the sandbox environment, whose carriers are simulated on this machine: nobody's telephone rings, and nothing costs
anything. The platform has to run (`make up`); its state folder is VOISNAP_HOME (.voisnap).
"""


def add_parser(subparsers: Any) -> None:
    """Add `simulate` to the command line."""
    parser = subparsers.add_parser(
        "simulate",
        help="call an agent, be called or write to one, without a carrier",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="call | sms | whatsapp | telegram")
    for kind, module in KINDS.items():
        if find_spec(module) is not None:
            importlib.import_module(module).add_parser(kinds, kind)


def run(args: argparse.Namespace) -> int:
    """Run the kind that was chosen; its exit status."""
    return args.simulate(args)
