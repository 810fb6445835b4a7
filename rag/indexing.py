"""Documents folder → index: reads what is there, embeds only what is new, swaps it in at once."""

import time
from collections.abc import Callable
from pathlib import Path

from rag import store
from rag.changes import Writer
from rag.chunks import CHUNKING, MAX_TOKENS, chunks
from rag.documents import read_folder
from rag.encoders import Embedder
from rag.errors import DocumentsError, shown
from rag.sentences import SENTENCES, sentences
from rag.tables import EmbeddedText, text_hash
from rag.types import BuildReport, Chunk, Document, EmbedderIdentity, Failure
from rag.vectors import VectorIndex

_BATCH = 64
"""Texts embedded between two commits: what an interrupted build loses, a second or two of work."""

Progress = Callable[[int, int], None]
"""Told how many chunks are embedded, of how many."""


def build_index(
    documents: Path,
    index: Path,
    *,
    identity: EmbedderIdentity,
    load_embedder: Callable[[], Embedder],
    progress: Progress,
    rebuild: bool = False,
) -> BuildReport:
    """Bring the index in step with the documents folder; with `rebuild`, from nothing.

    The embedder is loaded only when a document is new or changed. Documents that can't be read are
    left out and reported. `DocumentsError` when no document is readable: the index stays as it was.
    """
    began = time.perf_counter()
    readable: list[Document] = []
    failed: list[Failure] = []
    for item in read_folder(documents):
        if isinstance(item, Document):
            readable.append(item)
        else:
            failed.append(item)
    if not readable:
        reasons = "; ".join(f"{failure.source} {failure.reason}" for failure in failed[:3])
        raise DocumentsError(
            f"{shown(documents)} has no readable document: {reasons}. The index is unchanged."
        )

    with store.writing(index, identity, rebuild=rebuild) as writer:
        before = writer.snapshot().hashes()
        now = {document.source: document.sha256 for document in readable}
        added = tuple(source for source in now if source not in before)
        changed = tuple(source for source in now if source in before and before[source] != now[source])
        removed = tuple(source for source in before if source not in now)
        fresh = {*added, *changed}
        new = [document for document in readable if document.source in fresh]
        if new or removed:
            pieces = _embed_new(new, writer, load_embedder(), progress) if new else []
            with writer.swap([*changed, *removed], zip(new, pieces, strict=True)) as state:
                VectorIndex(*state.vectors()).save(state.vectors_path)
    return BuildReport(
        added=added,
        changed=changed,
        removed=removed,
        unchanged=tuple(source for source in now if before.get(source) == now[source]),
        failed=tuple(failed),
        seconds=time.perf_counter() - began,
    )


def embedder_identity(name: str, weights_sha256: str, dimension: int) -> EmbedderIdentity:
    """What an index built now has to be compared by."""
    return EmbedderIdentity(
        name, weights_sha256, dimension, normalised=True, chunking=f"{CHUNKING} {SENTENCES}"
    )


def _embed_new(
    new: list[Document], writer: Writer, embedder: Embedder, progress: Progress
) -> list[tuple[Chunk, ...]]:
    max_tokens = min(embedder.max_tokens, MAX_TOKENS)
    pieces = [
        chunks(document.text, count_tokens=embedder.count_tokens, max_tokens=max_tokens) for document in new
    ]
    texts = {text_hash(chunk.text): chunk.text for found in pieces for chunk in found}
    # By length, so that the texts of a batch need little padding.
    missing = sorted((text for key, text in texts.items() if writer.lacks(key)), key=len)
    progress(0, len(missing))
    for start in range(0, len(missing), _BATCH):
        batch = missing[start : start + _BATCH]
        spans = [sentences(text) for text in batch]
        vectors, of_sentences = embedder.embed_with_spans(batch, spans)
        writer.keep(map(EmbeddedText, batch, vectors, spans, of_sentences))
        progress(start + len(batch), len(missing))
    return pieces
