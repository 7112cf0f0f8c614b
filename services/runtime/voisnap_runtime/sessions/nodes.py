"""Which runtime processes there are: each keeps a record that dies with it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from voisnap_domain.ids import NodeId
from voisnap_kit.redis import Redis

NODE_SECONDS = 15
_NODES = "vs:nodes"


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One runtime process: how many sessions it holds and may hold, and whether it takes new ones."""

    id: NodeId
    sessions: int
    capacity: int
    lag_seconds: float
    draining: bool
    seen_at: datetime


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a round of registration found: how many processes there are."""

    nodes: int


class Nodes:
    """The register of runtime processes in Redis. `describe` gives this process's own record."""

    def __init__(self, redis: Redis, describe: Callable[[], Node]) -> None:
        self._client: Any = redis.client
        self._describe = describe

    async def register(self) -> NodeStatus:
        """Renew this process's record, and drop those of processes that are gone."""
        node = self._describe()
        await self._client.set(_key(node.id), msgspec.json.encode(node), ex=NODE_SECONDS)
        await self._client.sadd(_NODES, node.id)
        return NodeStatus(nodes=len(await self.all()))

    async def all(self) -> tuple[Node, ...]:
        """The processes that live, by id."""
        found: list[Node] = []
        for member in sorted(await self._client.smembers(_NODES)):
            data = await self._client.get(_key(NodeId(member.decode())))
            if data is None:
                await self._client.srem(_NODES, member)
            else:
                found.append(msgspec.json.decode(data, type=Node))
        return tuple(found)

    async def followers(self) -> tuple[NodeId, ...]:
        """Other processes that could go on with this one's sessions: alive, with room, and staying."""
        own = self._describe()
        return tuple(
            node.id
            for node in await self.all()
            if node.id != own.id and not node.draining and node.sessions < node.capacity
        )

    async def leave(self) -> None:
        """This process is gone."""
        node = self._describe()
        await self._client.delete(_key(node.id))
        await self._client.srem(_NODES, node.id)


def _key(node_id: NodeId) -> str:
    return f"vs:node:{node_id}"
