"""What a person who listens in tells the agent."""

import msgspec

from .prompt import Script


def advised(script: Script, advice: str) -> Script:
    """The script, with a supervisor's words that the other side does not hear."""
    told = f"{script.system}\n\nYour supervisor, whom the other side does not hear, tells you: {advice}"
    return msgspec.structs.replace(script, system=told)
