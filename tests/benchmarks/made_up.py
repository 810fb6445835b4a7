"""Indexes of any size: made-up documents of real sentences, with made-up vectors.

A document is ten chunks of sentences drawn at random from Wikipedia; a chunk's vector is the mean of its
sentences' with some noise, so that vectors lie as real ones do, and cost nothing.
"""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rag import wiring
from rag.evaluation.datasets import read_dataset
from rag.index.codec import EmbeddedText
from rag.index.disk import store
from rag.index.disk.index import save_vectors
from rag.models.hub import download
from rag.models.pooling import unit
from rag.models.registry import find_embedder
from rag.settings import resolve
from rag.text.sentences import sentences
from rag.types import Chunk, Document
from tests.support import SEEDS

POOL = 20_000
"""Sentences to draw from."""

CHUNKS = 10
"""Of a document."""

SENTENCES = 5
"""Of a chunk."""

NOISE = 0.6
"""How long the noise is beside the mean."""

Pool = tuple[list[str], np.ndarray]


def pool(bench: Path, kept: Path) -> Pool:
    """Sentences of Wikipedia with their vectors, kept in a file."""
    dataset = read_dataset("wikipedia490", bench, SEEDS)
    found: list[str] = []
    chooser = random.Random(0)
    for name in chooser.sample(sorted(dataset.documents), 200):
        text = dataset.documents[name]
        found += [text[start:end] for start, end in sentences(text) if 40 < end - start < 250]
    chooser.shuffle(found)
    some = list(dict.fromkeys(" ".join(one.split()) for one in found))[:POOL]
    file = kept / "pool.npy"
    if not file.is_file():
        kept.mkdir(parents=True, exist_ok=True)
        embedder = wiring._embedder((find_embedder("embedded", download), "int8"))
        np.save(file, embedder.embed(some))
    return some, np.load(file)


def documents(
    sentences: Pool, count: int, seed: int = 0
) -> Iterator[tuple[Document, list[Chunk], list[EmbeddedText]]]:
    """So many documents, each with its chunks and what is embedded of them."""
    chooser = np.random.default_rng(seed)
    texts, vectors = sentences
    for number in range(count):
        text = f"Report {seed}-{number}."
        pieces, embedded = [], []
        drawn = chooser.integers(len(texts), size=(CHUNKS, SENTENCES))
        noise = chooser.normal(size=(CHUNKS, vectors.shape[1])).astype(np.float32)
        noise *= NOISE / np.sqrt(vectors.shape[1])
        for row in range(CHUNKS):
            said = [texts[place] for place in drawn[row]]
            start = len(text) + 2
            text += "\n\n" + " ".join(said)
            piece = Chunk(start, len(text), text[start:])
            ends = list(itertools.accumulate(len(one) + 1 for one in said))
            spans = tuple((end - 1 - len(one), end - 1) for one, end in zip(said, ends, strict=True))
            inside = vectors[drawn[row]]
            pieces.append(piece)
            vector = unit(unit(inside.mean(axis=0)) + noise[row])
            embedded.append(EmbeddedText(piece.text, vector, spans, inside))
        source = f"{seed}/{number:06}.txt"
        yield Document(source, text, sha256=f"{seed}-{number}"), pieces, embedded


def write(index: Path, sentences: Pool, chunks: int) -> None:
    """An index of so many chunks, written as a build writes one."""
    identity = wiring.identity_of(resolve())
    made = documents(sentences, chunks // CHUNKS)
    with store.writing(index, identity, rebuild=False) as writer:

        def kept() -> Iterator[tuple[Document, list[Chunk]]]:
            for document, pieces, _ in documents(sentences, chunks // CHUNKS):
                yield document, pieces

        while some := list(itertools.islice(made, 100)):
            writer.keep(one for _, _, embedded in some for one in embedded)
        with writer.swap([], kept()):
            save_vectors(writer)


def change(index: Path, sentences: Pool, seed: int) -> None:
    """Put another document in the place of one, as a build does."""
    identity = wiring.identity_of(resolve())
    with store.writing(index, identity, rebuild=False) as writer:
        ((document, pieces, embedded),) = documents(sentences, 1, seed)
        old = next(iter(writer.snapshot().hashes()))
        writer.keep(embedded)
        with writer.swap([old], [(document, pieces)]):
            save_vectors(writer)
