"""Documents folder → index: reads what is there, embeds only what is new, swaps it in at once."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rag.documents.folder import TEXTS, File, files, read
from rag.documents.sandbox import Extraction
from rag.errors import DocumentsError, shown
from rag.index.codec import EmbeddedText, text_hash
from rag.index.disk import store
from rag.index.disk.index import save_vectors
from rag.index.disk.spool import Spool
from rag.index.disk.writer import Writer
from rag.models.embedder import Embedder
from rag.text.chunking import CHUNKING, MAX_TOKENS, chunks
from rag.text.sentences import SENTENCES, sentences
from rag.types import BuildReport, EmbedderIdentity, Failure

_BATCH = 256
"""Texts embedded between two commits: what an interrupted build loses, some seconds of work."""

_WINDOW = 16 * _BATCH
"""Texts sorted by length at a time."""

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
    listed, failed = listed_files(documents, may_be_empty=may_be_empty)
    with store.writing(index, identity, rebuild=rebuild) as writer:
        before = writer.snapshot().hashes()
        unchanged = tuple(file.source for file in listed if before.get(file.source) == file.sha256)
        with Spool(index) as spool:
            changed_files = [file for file in listed if before.get(file.source) != file.sha256]
            failed = sorted(
                [*failed, *_cut(changed_files, load_embedder, spool)], key=lambda failure: failure.source
            )
            if not spool.sources and not unchanged and not may_be_empty:
                raise nothing_readable(documents, failed)
            now = {*unchanged, *spool.sources}
            added = tuple(source for source in spool.sources if source not in before)
            changed = tuple(source for source in spool.sources if source in before)
            removed = tuple(source for source in before if source not in now)
            if spool.sources:
                _embed(spool, writer, load_embedder(), progress)
            if spool.sources or removed:
                with writer.swap([*changed, *removed], spool):
                    save_vectors(writer)
    return BuildReport(
        added=added,
        changed=changed,
        removed=removed,
        unchanged=unchanged,
        failed=tuple(failed),
        seconds=time.perf_counter() - began,
    )


def embedder_identity(
    name: str, weights_sha256: str, dimension: int, precision: str = "fp32"
) -> EmbedderIdentity:
    """What an index built now has to be compared by."""
    chunking = f"{CHUNKING} {SENTENCES} {TEXTS}"
    return EmbedderIdentity(
        name, weights_sha256, dimension, normalised=True, chunking=chunking, precision=precision
    )


def listed_files(documents: Path, *, may_be_empty: bool) -> tuple[list[File], list[Failure]]:
    """The files of the folder, and those of its documents that aren't any; errors as in `build_index`."""
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
        raise nothing_readable(documents, failed)
    return listed, failed


def nothing_readable(documents: Path, failed: list[Failure]) -> DocumentsError:
    """What to raise for a folder without a document that can be read."""
    reasons = "; ".join(f"{failure.source} {failure.reason}" for failure in failed[:3])
    return DocumentsError(f"{shown(documents)} has no readable document: {reasons}. The index is unchanged.")


def _cut(listed: list[File], load_embedder: Callable[[], Embedder], spool: Spool) -> list[Failure]:
    """Read these files and cut them into chunks; what can't be read."""
    failed: list[Failure] = []
    with Extraction() as extraction:
        for file in listed:
            item = read(file, extraction)
            if isinstance(item, Failure):
                failed.append(item)
                continue
            embedder = load_embedder()
            max_tokens = min(embedder.max_tokens, MAX_TOKENS)
            spool.add(item, chunks(item.text, count_tokens=embedder.count_tokens, max_tokens=max_tokens))
    return failed


def _embed(spool: Spool, writer: Writer, embedder: Embedder, progress: Progress) -> None:
    """Embed the texts of the chunks that are not embedded yet."""
    missing = {key for key, _ in _texts(spool) if writer.lacks(key)}
    total = len(missing)
    progress(0, total)
    lacking = _once(_texts(spool), missing)
    done = 0
    while window := list(itertools.islice(lacking, _WINDOW)):
        # By length, so that the texts of a batch need little padding.
        window.sort(key=len)
        for start in range(0, len(window), _BATCH):
            batch = window[start : start + _BATCH]
            spans = [sentences(text) for text in batch]
            vectors, of_sentences = embedder.embed_with_spans(batch, spans)
            writer.keep(map(EmbeddedText, batch, vectors, spans, of_sentences))
            done += len(batch)
            progress(done, total)


def _texts(spool: Spool) -> Iterator[tuple[bytes, str]]:
    """The texts of the chunks, each after its key."""
    return ((text_hash(chunk.text), chunk.text) for _, pieces in spool for chunk in pieces)


def _once(texts: Iterator[tuple[bytes, str]], keys: set[bytes]) -> Iterator[str]:
    """The texts with these keys, each once; the keys are taken out."""
    for key, text in texts:
        if key in keys:
            keys.remove(key)
            yield text
