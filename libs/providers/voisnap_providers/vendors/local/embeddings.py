"""all-MiniLM-L6-v2 (int8): meaning of short English texts as 384 numbers."""

from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from voisnap_providers.inference import InferencePool, Priority

from .wire import broken, require, session

MAX_TOKENS = 256
BATCH = 16


class MiniLm:
    """The model itself; call from a worker thread."""

    def __init__(self, folder: Path) -> None:
        self._session = session(folder / "model.onnx", kind="embeddings")
        path = require(folder / "tokenizer.json", kind="embeddings")
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception
            raise broken(path, kind="embeddings") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._inputs = {item.name for item in self._session.get_inputs()}

    def __call__(self, texts: tuple[str, ...]) -> np.ndarray:
        """Unit vectors, float32, one row a text. Texts of like length are computed together, so padding stays small."""
        encoded = [self._tokenizer.encode(text or " ").ids for text in texts]
        order = sorted(range(len(texts)), key=lambda index: len(encoded[index]))
        vectors = np.zeros((len(texts), 384), np.float32)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            vectors[rows] = self._batch([encoded[row] for row in rows])
        return vectors

    def tokens(self, text: str) -> int:
        """How many tokens a text has, at most 256."""
        return len(self._tokenizer.encode(text).ids)

    def _batch(self, ids: list[list[int]]) -> np.ndarray:
        width = max(len(row) for row in ids)
        padded = np.zeros((len(ids), width), np.int64)
        mask = np.zeros((len(ids), width), np.int64)
        for number, row in enumerate(ids):
            padded[number, : len(row)] = row
            mask[number, : len(row)] = 1
        feed: dict[str, Any] = {"input_ids": padded, "attention_mask": mask, "token_type_ids": np.zeros_like(padded)}
        hidden = self._session.run(None, {name: feed[name] for name in self._inputs})[0]
        weights = mask[:, :, None].astype(np.float32)
        mean = (np.asarray(hidden) * weights).sum(1) / weights.sum(1)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)


class LocalEmbedder:
    """MiniLM behind the embeddings port."""

    provider = "local"
    model = "all-MiniLM-L6-v2"
    dimensions = 384

    def __init__(self, model: MiniLm, pool: InferencePool) -> None:
        self._minilm = model
        self._pool = pool

    async def embed(self, texts: tuple[str, ...]) -> np.ndarray:
        """Unit vectors. Long lists are computed in pieces, so that calls in progress get their turn in between."""
        parts = [
            await self._pool.run(lambda piece=texts[start : start + BATCH]: self._minilm(piece), Priority.BACKGROUND)
            for start in range(0, len(texts), BATCH)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.dimensions), np.float32)

    async def aclose(self) -> None:
        """Nothing of its own to free."""
