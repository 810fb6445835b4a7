"""Documents folder → index, block by block: in this process, or on a Ray cluster (see `ray_cluster`).

Each block of files is read, cut and embedded at once, and what comes of it is written at once. So no more
than a block is lost when a worker dies, or when a build of an index in Milvus ends early.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from rag.documents.folder import File, read
from rag.documents.sandbox import Extraction
from rag.index.base import BlockWriter, EmbeddedDocument
from rag.index.codec import EmbeddedText, text_hash
from rag.indexing.build import Progress, listed_files, nothing_readable
from rag.models.embedder import Embedder
from rag.text.chunking import MAX_TOKENS, chunks
from rag.text.sentences import sentences
from rag.types import BuildReport, Failure

BLOCK = 32
"""Files that are embedded together: with fewer, texts of one length are fewer, and take more padding."""


@dataclass(frozen=True, slots=True)
class Written:
    """A document that was put into the index."""

    source: str
    sha256: str


Outcome: TypeAlias = Written | Failure
Run: TypeAlias = Callable[[Sequence[File], BlockWriter], Iterator[Outcome]]
"""What reads, embeds and writes files, and tells of each as it is done."""


def build_blocks(
    documents: Path,
    writing: Callable[[], AbstractContextManager[BlockWriter]],
    run: Run,
    *,
    progress: Progress,
    may_be_empty: bool = False,
) -> BuildReport:
    """Bring an index in step with the documents folder; errors as in `rag.indexing.build.build_index`.

    `progress` is told of documents.
    """
    began = time.perf_counter()
    listed, failed = listed_files(documents, may_be_empty=may_be_empty)
    with writing() as writer:
        before = writer.hashes()
        now = {file.source: file.sha256 for file in listed if before.get(file.source) == file.sha256}
        unchanged = tuple(now)
        todo = [file for file in listed if file.source not in now]
        written: list[str] = []
        progress(0, len(todo))
        for done, item in enumerate(run(todo, writer), 1):
            if isinstance(item, Failure):
                failed.append(item)
            else:
                written.append(item.source)
                now[item.source] = item.sha256
            progress(done, len(todo))
        if not now and not may_be_empty:
            raise nothing_readable(documents, failed)
        removed = tuple(source for source in before if source not in now)
        writer.finish(now)
    order = sorted(written)
    return BuildReport(
        added=tuple(source for source in order if source not in before),
        changed=tuple(source for source in order if source in before),
        removed=removed,
        unchanged=unchanged,
        failed=tuple(sorted(failed, key=lambda failure: failure.source)),
        seconds=time.perf_counter() - began,
    )


def in_this_process(load_embedder: Callable[[], Embedder]) -> Run:
    """What does all of it here; the embedder is loaded only when there is something to do."""

    def run(todo: Sequence[File], writer: BlockWriter) -> Iterator[Outcome]:
        with Extraction() as extraction:
            for first in range(0, len(todo), BLOCK):
                block = todo[first : first + BLOCK]
                there = writer.known([file.source for file in block])
                done = [*embed_block(block, load_embedder(), extraction, there)]
                writer.upsert([item for item in done if isinstance(item, EmbeddedDocument)])
                yield from map(outcome, done)

    return run


def embed_block(
    block: Iterable[File], embedder: Embedder, extraction: Extraction, known: Mapping[bytes, EmbeddedText]
) -> Iterator[EmbeddedDocument | Failure]:
    """Read these files, cut them, and embed together what of their texts isn't known."""
    documents: list[EmbeddedDocument] = []
    max_tokens = min(embedder.max_tokens, MAX_TOKENS)
    for file in block:
        item = read(file, extraction)
        if isinstance(item, Failure):
            yield item
        else:
            pieces = chunks(item.text, count_tokens=embedder.count_tokens, max_tokens=max_tokens)
            documents.append(EmbeddedDocument(item, pieces, ()))
    found = dict(known)
    texts = {text_hash(piece.text): piece.text for one in documents for piece in one.pieces}
    missing = sorted((text for key, text in texts.items() if key not in found), key=len)
    if missing:
        spans = [sentences(text) for text in missing]
        vectors, of_sentences = embedder.embed_with_spans(missing, spans)
        for embedded in map(EmbeddedText, missing, vectors, spans, of_sentences):
            found[text_hash(embedded.text)] = embedded
    for one in documents:
        keys = dict.fromkeys(text_hash(piece.text) for piece in one.pieces)
        yield EmbeddedDocument(one.document, one.pieces, tuple(found[key] for key in keys))


def outcome(item: EmbeddedDocument | Outcome) -> Outcome:
    """What is told of a document when it is written."""
    if not isinstance(item, EmbeddedDocument):
        return item
    return Written(item.document.source, item.document.sha256)
