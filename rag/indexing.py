"""Documents folder → index: reads what is there, embeds only what is new, swaps it in at once."""

import time
from collections.abc import Callable
from pathlib import Path

from rag import store
from rag.changes import Writer
from rag.chunks import CHUNKING, MAX_TOKENS, chunks
from rag.documents import TEXTS, File, files, read
from rag.encoders import Embedder
from rag.errors import DocumentsError, shown
from rag.extraction import Extraction
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
    may_be_empty: bool = False,
) -> BuildReport:
    """Bring the index in step with the documents folder; with `rebuild`, from nothing.

    A document is read, and the embedder loaded, only when it is new or changed. Documents that can't be
    read are left out and reported. `DocumentsError` when no document is readable: the index stays as it
    was, unless it `may_be_empty`, as where the last document was removed on purpose.
    """
    began = time.perf_counter()
    listed: list[File] = []
    failed: list[Failure] = []
    try:
        for item in files(documents):
            if isinstance(item, File):
                listed.append(item)
            else:
                failed.append(item)
    except DocumentsError:
        if not (may_be_empty and documents.is_dir()):
            raise
    if not listed and not may_be_empty:
        raise _nothing_readable(documents, failed)

    with store.writing(index, identity, rebuild=rebuild) as writer:
        before = writer.snapshot().hashes()
        unchanged = tuple(file.source for file in listed if before.get(file.source) == file.sha256)
        new, unreadable = _read([file for file in listed if before.get(file.source) != file.sha256])
        failed = sorted([*failed, *unreadable], key=lambda failure: failure.source)
        if not new and not unchanged and not may_be_empty:
            raise _nothing_readable(documents, failed)
        now = {*unchanged, *(document.source for document in new)}
        added = tuple(document.source for document in new if document.source not in before)
        changed = tuple(document.source for document in new if document.source in before)
        removed = tuple(source for source in before if source not in now)
        if new or removed:
            pieces = _embed_new(new, writer, load_embedder(), progress) if new else []
            with writer.swap([*changed, *removed], zip(new, pieces, strict=True)) as state:
                VectorIndex(*state.vectors()).save(state.vectors_path)
    return BuildReport(
        added=added,
        changed=changed,
        removed=removed,
        unchanged=unchanged,
        failed=tuple(failed),
        seconds=time.perf_counter() - began,
    )


def embedder_identity(name: str, weights_sha256: str, dimension: int) -> EmbedderIdentity:
    """What an index built now has to be compared by."""
    return EmbedderIdentity(
        name, weights_sha256, dimension, normalised=True, chunking=f"{CHUNKING} {SENTENCES} {TEXTS}"
    )


def _nothing_readable(documents: Path, failed: list[Failure]) -> DocumentsError:
    reasons = "; ".join(f"{failure.source} {failure.reason}" for failure in failed[:3])
    return DocumentsError(f"{shown(documents)} has no readable document: {reasons}. The index is unchanged.")


def _read(listed: list[File]) -> tuple[list[Document], list[Failure]]:
    """The documents in these files, and what can't be read."""
    found: list[Document] = []
    failed: list[Failure] = []
    with Extraction() as extraction:
        for file in listed:
            item = read(file, extraction)
            if isinstance(item, Document):
                found.append(item)
            else:
                failed.append(item)
    return found, failed


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
