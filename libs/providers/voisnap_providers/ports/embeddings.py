"""Text embeddings."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # 120 ms and 25 MB of every process that computes no vectors
    import numpy as np


class Embedder(Protocol):
    provider: str
    model: str
    dimensions: int

    async def embed(self, texts: tuple[str, ...]) -> "np.ndarray":
        """Unit vectors, float32, shape (len(texts), dimensions). Raises ProviderError."""
        ...

    async def aclose(self) -> None: ...
