"""What `voisnap simulate` needs of the running platform: its sandbox, its simulated carriers, and a number of the agent's."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
from voisnap_simulator.accounts import launch

from .home import Home, home_folder

ANSWER_SECONDS = 10.0
READY_SECONDS = 30.0
"""How long a new number may take until it can be called."""


class SimulationFailed(Exception):
    """What went wrong, in one line that says what to do."""


class Sandbox:
    """The sandbox environment of a running platform: its API, and the control routes of its simulated carriers."""

    def __init__(self, base_url: str, api_key: str, simulator_url: str, bearer: str) -> None:
        self.base_url = base_url
        self.api = httpx.Client(
            base_url=f"{base_url}/api/v1",
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=ANSWER_SECONDS,
            trust_env=False,
        )
        self.simulator = httpx.Client(
            base_url=f"{simulator_url}/simulator",
            headers={"Authorization": f"Bearer {bearer}"},
            timeout=ANSWER_SECONDS + 30,
            trust_env=False,
        )

    @classmethod
    def of_home(cls, home: Home | None = None) -> "Sandbox":
        """The platform of a state folder (VOISNAP_HOME's), with its demo tenant's sandbox key. Raises SimulationFailed."""
        home = home or home_folder()
        demo = _read(home.demo_file)
        if not demo.get("baseUrl") or not demo.get("apiKeySandbox"):
            raise SimulationFailed(
                f"no platform has run on {home.root}: run `make up` first, or set VOISNAP_HOME to its state folder"
            )
        try:
            known = launch(home.simulator_file)
        except ValueError:
            raise SimulationFailed(
                f"{home.root} has no simulated carriers: start the platform anew (without SIMULATOR=off)"
            ) from None
        return cls(demo["baseUrl"], demo["apiKeySandbox"], known.url, known.bearer)

    def asked(self, method: str, path: str, **how: Any) -> Any:
        """What the API answers. Raises SimulationFailed with its own words."""
        return self._asked(self.api, "the platform", self.base_url, method, path, **how)

    def told(self, method: str, path: str, **how: Any) -> Any:
        """What the simulator answers."""
        return self._asked(self.simulator, "the simulated carriers", str(self.simulator.base_url), method, path, **how)

    def agent(self, agent_id: str | None) -> dict[str, Any]:
        """An agent of the sandbox; the first one where none is named."""
        if agent_id:
            return self.asked("GET", f"/agents/{agent_id}")
        found = self.asked("GET", "/agents", params={"status": "active", "pageSize": 100})["data"]
        if not found:
            raise SimulationFailed("the sandbox has no active agent: make one with a sandbox key, or give --agent")
        return next((one for one in found if "demo" in one.get("tags", ())), found[0])

    def agent_of_number(self, number: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The line with a number, and its agent."""
        lines = self.asked("GET", "/telephony/numbers", params={"phoneNumber": number, "pageSize": 100})["data"]
        line = next((one for one in lines if one["phoneNumber"] == number), None)
        if line is None:
            raise SimulationFailed(f"the sandbox has no number {number}: leave --number out, and one is made")
        if not line.get("agentId"):
            raise SimulationFailed(f"no agent answers {number}: assign one, or leave --number out")
        return line, self.asked("GET", f"/agents/{line['agentId']}")

    def line_of(self, agent_id: str, provider: str, say: Any, capability: str = "voice") -> dict[str, Any]:
        """A number of the agent's with a carrier: one that it has, else a new one."""
        wanted = {"agentId": agent_id, "provider": provider, "pageSize": 100}
        lines = self.asked("GET", "/telephony/numbers", params=wanted)["data"]
        line = next((one for one in lines if one["status"] == "active" and capability in one["capabilities"]), None)
        if line is not None:
            return line
        search = {"country": "US", "provider": provider, "capabilities": capability, "limit": 1}
        offers = self.asked("GET", "/telephony/numbers/search", params=search)["numbers"]
        if not offers:
            raise SimulationFailed(f"the simulated {provider} has no number to offer")
        body = {"phoneNumber": offers[0]["phoneNumber"], "provider": provider, "agentId": agent_id}
        line = self.asked("POST", "/telephony/numbers", json=body)
        say(f"got the number {line['phoneNumber']} from the simulated {provider} for the agent")
        until = time.monotonic() + READY_SECONDS
        while line["status"] == "provisioning" and time.monotonic() < until:
            time.sleep(0.2)
            line = self.asked("GET", f"/telephony/numbers/{line['id']}")
        if line["status"] != "active":
            raise SimulationFailed(
                f"the number {line['phoneNumber']} is {line['status']}: {line['statusDetail'] or ''}"
            )
        return line

    def close(self) -> None:
        """Close the connections."""
        self.api.close()
        self.simulator.close()

    def _asked(self, client: httpx.Client, who: str, where: str, method: str, path: str, **how: Any) -> Any:
        try:
            response = client.request(method, path, **how)
        except httpx.HTTPError as error:
            raise SimulationFailed(
                f"{who} at {where} does not answer ({type(error).__name__}): is `make up` running? See `voisnap status`"
            ) from error
        if response.is_success:
            return response.json() if response.content else None
        raise SimulationFailed(f"{who} refused {method} {path}: {_reason(response)}")


def _reason(response: httpx.Response) -> str:
    try:
        document = response.json()
    except ValueError:
        return f"status {response.status_code}"
    said = document.get("detail") or document.get("error") or document.get("title") or ""
    fields = "; ".join(f"{one.get('field')}: {one.get('message')}" for one in document.get("errors") or ())
    return f"{said} {fields}".strip() or f"status {response.status_code}"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
