"""Indexes of any size: made-up documents of real sentences, with made-up vectors.

A document is ten chunks of sentences drawn at random from Wikipedia. A chunk's vector is the mean of its
sentences' vectors with some noise, so that the vectors are spread as real ones are, and nothing is embedded.
"""

import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rag import wiring
from rag.index.base import EmbeddedDocument
from rag.index.codec import EmbeddedText
from rag.models.pooling import unit
from rag.settings import Settings, resolve
from rag.text.sentences import sentences
from rag.training.datasets import read_dataset
from rag.types import Block, Chunk, Document
from tests.support import SEEDS

POOL = 20_000
"""How many sentences there are to draw from."""

CHUNKS = 10
"""In a document."""

SENTENCES = 5
"""In a chunk."""

NOISE = 0.6
"""The length of the noise that is added to the mean."""

DOCUMENTS_AT_ONCE = 50

Pool = tuple[list[str], np.ndarray]


def questions(bench: Path) -> list[str]:
    """Questions on Wikipedia, shuffled."""
    texts = [question.text for question in read_dataset("wikipedia490", bench, SEEDS).questions]
    random.Random(0).shuffle(texts)
    return texts


def pool(bench: Path, kept: Path) -> Pool:
    """Sentences of Wikipedia and their vectors, shape (n, dimension), which stay in the folder `kept`."""
    dataset = read_dataset("wikipedia490", bench, SEEDS)
    found: list[str] = []
    chooser = random.Random(0)
    for name in chooser.sample(sorted(dataset.documents), 200):
        text = dataset.documents[name]
        found += [text[start:end] for start, end in sentences(text) if 40 < end - start < 250]
    chooser.shuffle(found)
    texts = list(dict.fromkeys(" ".join(sentence.split()) for sentence in found))[:POOL]
    file = kept / "pool.npy"
    if not file.is_file():
        kept.mkdir(parents=True, exist_ok=True)
        np.save(file, wiring.embedder(resolve()).embed(texts))
    return texts, np.load(file)


def make_pool(bench: str, kept: str) -> None:
    """Embed the pool, for other processes to load."""
    pool(Path(bench), Path(kept))


def documents(sentences: Pool, count: int, seed: int = 0) -> Iterator[EmbeddedDocument]:
    """So many documents, with their chunks and vectors."""
    chooser = np.random.default_rng(seed)
    texts, vectors = sentences
    for number in range(count):
        text = f"Report {seed}-{number}."
        chunks, embedded = [], []
        drawn = chooser.integers(len(texts), size=(CHUNKS, SENTENCES))
        noise = chooser.normal(size=(CHUNKS, vectors.shape[1])).astype(np.float32)
        noise *= NOISE / np.sqrt(vectors.shape[1])
        for row in range(CHUNKS):
            of_chunk = [texts[position] for position in drawn[row]]
            start = len(text) + 2
            text += "\n\n" + " ".join(of_chunk)
            ends = list(itertools.accumulate(len(sentence) + 1 for sentence in of_chunk))
            spans = [(end - 1 - len(sentence), end - 1) for sentence, end in zip(of_chunk, ends, strict=True)]
            sentence_vectors = vectors[drawn[row]]
            vector = unit(unit(sentence_vectors.mean(axis=0)) + noise[row])
            own = tuple((start + first, start + last) for first, last in spans)
            chunks.append(Chunk(start, len(text), text[start:], own))
            embedded.append(EmbeddedText(text[start:], vector, tuple(spans), sentence_vectors))
        blocks = tuple(Block("paragraph", chunk.start, chunk.end) for chunk in chunks)
        document = Document(f"{seed}/{number:06}.txt", text, sha256=f"{seed}-{number}", blocks=blocks)
        yield EmbeddedDocument(document, tuple(chunks), tuple(embedded))


def write(settings: Settings, sentences: Pool, chunks: int) -> dict:
    """Write an index of so many chunks, as a build does: seconds for the documents, and to finish."""
    made = documents(sentences, chunks // CHUNKS)
    hashes: dict[str, str] = {}
    upsert_s = 0.0
    with wiring.backend(settings).write(wiring.identity_of(settings), rebuild=False) as writer:
        while batch := list(itertools.islice(made, DOCUMENTS_AT_ONCE)):
            hashes |= {embedded.document.source: embedded.document.sha256 for embedded in batch}
            began = time.perf_counter()
            writer.upsert(batch)
            upsert_s += time.perf_counter() - began
        began = time.perf_counter()
        writer.finish(hashes)
        finish_s = time.perf_counter() - began
    return {"upsert_s": upsert_s, "finish_s": finish_s}


def change(settings: Settings, sentences: Pool, seed: int) -> None:
    """Replace one document by another, as a build does."""
    with wiring.backend(settings).write(wiring.identity_of(settings), rebuild=False) as writer:
        (added,) = documents(sentences, 1, seed)
        hashes = dict(writer.hashes())
        hashes.pop(next(iter(hashes)))
        writer.upsert([added])
        writer.finish(hashes | {added.document.source: added.document.sha256})
