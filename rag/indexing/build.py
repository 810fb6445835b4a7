"""Documents folder → index: reads and embeds only what is new or changed, and writes it batch by batch.

Parameters say what embeds the files, this process or the workers of a Ray cluster
(`rag.indexing.ray_cluster`), and where the index is kept (see `rag.index.base.Backend`).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from rag.documents.folder import TEXTS, File, files, passed_over, read
from rag.documents.sandbox import Sandbox
from rag.errors import DocumentsError, shown
from rag.index.base import EmbeddedDocument, IndexWriter
from rag.index.codec import EmbeddedText, key_of, text_hash
from rag.models.embedder import Embedder
from rag.text.chunking import CHUNKING, MAX_TOKENS, chunks, embedded_spans, embedded_text
from rag.text.sentences import SENTENCES
from rag.types import BuildReport, EmbedderIdentity, Failure

_KEPT = 256
"""How many texts are embedded between two writes: what an interrupted build loses, some seconds of work."""

_WINDOW = 4096
"""How many texts are sorted by length at a time, so that those embedded together need little padding."""

Progress = Callable[[int, int], None]
"""Called with the bytes of new or changed files that are embedded, and with all bytes of such files."""


@dataclass(frozen=True, slots=True)
class Written:
    """A document that was added to the index."""

    source: str
    sha256: str


Outcome: TypeAlias = Written | Failure
EmbedFiles: TypeAlias = Callable[[Sequence[File], IndexWriter, Callable[[int], None]], Iterator[Outcome]]
"""Reads, embeds and writes files: yields the outcome of each file when it is done.

Calls its last argument with the embedded bytes of files that aren't done yet.
"""


def build_index(
    documents: Path,
    write: Callable[[], AbstractContextManager[IndexWriter]],
    embed: EmbedFiles,
    *,
    progress: Progress,
    may_be_empty: bool = False,
) -> BuildReport:
    """Bring the index in step with the documents folder.

    A document is read, and the embedder loaded, only when it is new or changed. Documents that can't be
    read are left out and reported. `DocumentsError` when no document is readable: the index stays as it
    was, unless it `may_be_empty`, as after the last document was removed on purpose.
    """
    began = time.perf_counter()
    listed, failed = _listed_files(documents, may_be_empty=may_be_empty)
    with write() as writer:
        before = writer.hashes()
        now = {file.source: file.sha256 for file in listed if before.get(file.source) == file.sha256}
        unchanged = tuple(now)
        todo = [file for file in listed if file.source not in now]
        for item in _embedded(todo, writer, embed, progress):
            if isinstance(item, Failure):
                failed.append(item)
            else:
                now[item.source] = item.sha256
        if not now and not may_be_empty:
            raise _nothing_readable(documents, failed)
        writer.finish(now)
    written = sorted(now.keys() - unchanged)
    return BuildReport(
        added=tuple(source for source in written if source not in before),
        changed=tuple(source for source in written if source in before),
        removed=tuple(source for source in before if source not in now),
        unchanged=unchanged,
        failed=tuple(sorted(failed, key=lambda failure: failure.source)),
        seconds=time.perf_counter() - began,
        passed_over=passed_over(documents),
    )


def in_this_process(load_embedder: Callable[[], Embedder], *, batch_texts: int) -> EmbedFiles:
    """Embed here, and write documents when they have at least `batch_texts` chunks together.

    The embedder is loaded only when there is a document to embed.
    """

    def embed(todo: Sequence[File], writer: IndexWriter, advance: Callable[[int], None]) -> Iterator[Outcome]:
        sizes = {file.source: file.size for file in todo}

        def write(batch: Sequence[EmbeddedDocument]) -> Iterator[Outcome]:
            size = sum(sizes[cut.document.source] for cut in batch)
            documents = embed_documents(
                batch, load_embedder(), writer, advance=lambda done, total: advance(size * done // total)
            )
            writer.upsert(documents)
            return map(outcome, documents)

        with Sandbox() as sandbox:
            batch: list[EmbeddedDocument] = []
            for file in todo:
                item = read_and_cut(file, load_embedder, sandbox)
                if isinstance(item, Failure):
                    yield item
                    continue
                batch.append(item)
                if sum(len(cut.pieces) for cut in batch) >= batch_texts:
                    yield from write(batch)
                    batch = []
            if batch:
                yield from write(batch)

    return embed


def read_and_cut(
    file: File, load_embedder: Callable[[], Embedder], sandbox: Sandbox
) -> EmbeddedDocument | Failure:
    """The document in the file with its chunks, and no vectors yet."""
    item = read(file, sandbox)
    if isinstance(item, Failure):
        return item
    embedder = load_embedder()
    max_tokens = min(embedder.max_tokens, MAX_TOKENS)
    pieces = chunks(
        item.text,
        item.blocks,
        title=item.title,
        count_tokens=embedder.count_tokens,
        max_tokens=max_tokens,
    )
    return EmbeddedDocument(item, pieces, ())


def embed_documents(
    batch: Sequence[EmbeddedDocument],
    embedder: Embedder,
    writer: IndexWriter | None,
    *,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> list[EmbeddedDocument]:
    """The documents with the vectors of their texts, but for those that the writer's index has already.

    Without a writer all are embedded. `advance` is called with the number of embedded texts, and of all.
    """
    texts = {
        key_of(piece): (embedded_text(piece), embedded_spans(piece)) for cut in batch for piece in cut.pieces
    }
    known: dict[bytes, EmbeddedText | None] = {}
    if writer is not None:
        known |= writer.known([cut.document.source for cut in batch], [*texts])
    missing = [text for key, text in texts.items() if key not in known]
    for first in range(0, len(missing), _WINDOW):
        window = sorted(missing[first : first + _WINDOW], key=lambda text: len(text[0]))
        for start in range(0, len(window), _KEPT):
            batch_texts, spans = zip(*window[start : start + _KEPT], strict=True)
            vectors, of_sentences = embedder.embed_with_spans(batch_texts, spans)
            embedded = [*map(EmbeddedText, batch_texts, vectors, spans, of_sentences)]
            kept = writer is not None and writer.keep(embedded)
            known |= {text_hash(one.text, one.sentences): None if kept else one for one in embedded}
            advance(first + start + len(batch_texts), len(missing))
    return [_with_texts(cut, known) for cut in batch]


def embedder_identity(
    name: str, weights_sha256: str, dimension: int, precision: str = "fp32"
) -> EmbedderIdentity:
    """The identity of an index that is built now with this embedder."""
    chunking = f"{CHUNKING} {SENTENCES} {TEXTS}"
    return EmbedderIdentity(
        name, weights_sha256, dimension, normalised=True, chunking=chunking, precision=precision
    )


def outcome(item: EmbeddedDocument) -> Outcome:
    """The outcome of a document that was written."""
    return Written(item.document.source, item.document.sha256)


def _with_texts(cut: EmbeddedDocument, known: Mapping[bytes, EmbeddedText | None]) -> EmbeddedDocument:
    texts = (known[key] for key in dict.fromkeys(map(key_of, cut.pieces)))
    return replace(cut, texts=tuple(text for text in texts if text is not None))


def _embedded(
    todo: Sequence[File], writer: IndexWriter, embed: EmbedFiles, progress: Progress
) -> Iterator[Outcome]:
    """The outcomes of these files, with calls of `progress`."""
    if not todo:
        return
    sizes = {file.source: file.size for file in todo}
    total, done = sum(sizes.values()), 0

    def advance(part: int) -> None:
        progress(done + part, total)

    advance(0)
    for item in embed(todo, writer, advance):
        done += sizes[item.source]
        advance(0)
        yield item


def _listed_files(documents: Path, *, may_be_empty: bool) -> tuple[list[File], list[Failure]]:
    """The files of the folder, and those that can't be opened; errors as in `build_index`."""
    items: list[File | Failure] = []
    try:
        items.extend(files(documents))
    except DocumentsError:
        if not (may_be_empty and documents.is_dir()):
            raise
    listed = [item for item in items if isinstance(item, File)]
    failed = [item for item in items if isinstance(item, Failure)]
    if not listed and not may_be_empty:
        raise _nothing_readable(documents, failed)
    return listed, failed


def _nothing_readable(documents: Path, failed: list[Failure]) -> DocumentsError:
    """The error to raise for a folder without a readable document."""
    reasons = "; ".join(f"{failure.source} {failure.reason}" for failure in failed[:3])
    return DocumentsError(f"{shown(documents)} has no readable document: {reasons}. The index is unchanged.")
