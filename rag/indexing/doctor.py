"""Documents folder and index → whether the index is whole and in step with the folder, and what isn't.

It proves: each file is read anew, each character of it is looked for in a chunk, each chunk in its document,
each vector beside its chunk and in the FAISS file, and some are searched for.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rag.documents.folder import File, files, read
from rag.documents.sandbox import Extraction
from rag.errors import DocumentsError, IndexFileError, shown
from rag.index.base import State, StoredChunk, require_identity
from rag.index.codec import REBUILD
from rag.index.disk import store
from rag.index.disk.faiss_index import VectorIndex
from rag.index.disk.index import as_of, renew_vectors
from rag.index.disk.integrity import Coverage, broken_documents, coverage, faults, page_faults, spares
from rag.index.disk.snapshot import Snapshot
from rag.indexing.catalog import states
from rag.types import EmbedderIdentity, Failure
from rag.uris import Place

BUILD = "Bring it in step: rag build"
REPAIR = "Mend it: rag doctor --repair"
_SEARCHED = 100
_NEAREST = 10
_NAMED = 5
_RECALL = 0.95
"""What FAISS's lists find of the nearest, at least (see `rag.index.disk.faiss_index.PROBED`)."""

_READ_CHARS = 500_000

_HALF_PRECISION = 1e-3
"""How far off a number may be that the FAISS file keeps in 16 bits."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the index holds: sizes in bytes; characters are those of indexed documents but white space.

    `copies` are the documents that tell a story which another tells too. `recall` is the share of the 10
    nearest by exact search that the FAISS file finds, for some of its chunks; None where there is no chunk.
    What isn't known of an index in Milvus is None too.
    """

    documents: int
    dated: int
    copies: int | None
    chunks: int
    characters: int
    indexed_characters: int
    store_bytes: int | None
    vectors_bytes: int | None
    embedder: str
    precision: str
    dimension: int
    recall: float | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong, each with the command that mends it; `notes` are worth knowing, but no fault.

    `figures` are None where the index isn't whole in itself.
    """

    well: bool
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    figures: Figures | None


def examine(documents: Path, index: Path, identity: EmbedderIdentity) -> Diagnosis:
    """Compare the documents folder, the store and the FAISS file with each other."""
    found: list[str] = []
    notes: list[str] = []
    figures = None
    try:
        if (writer := store.writer_of(index)) is not None:
            notes.append(f"{shown(index)}/ is being built by {writer}; what it changes may show as a fault.")
        with store.reading(index) as snapshot:
            require_identity(snapshot.identity, identity, f"{shown(index)}/")
            found.extend(_inside(snapshot.connection, identity.dimension, index))
            whole = not found
            if kept := spares(snapshot.connection):
                notes.append(f"A build that didn't end has kept {kept} vectors, for the next to go on from.")
            covered = coverage(snapshot.connection)
            found.extend(_lost(covered))
            found.extend(_of_folder(documents, snapshot, notes))
            if whole:
                saved = as_of(snapshot, VectorIndex.load(snapshot.vectors_path))
                found.extend(_of_vectors(snapshot, saved))
                figures = _figures(snapshot, index, covered, saved)
        found.extend(f"{name} is left over in {shown(index)}/. {REPAIR}" for name in store.left_over(index))
    except IndexFileError as error:
        found.append(str(error))
    if figures is not None and figures.recall is not None and figures.recall < _RECALL:
        found.append(f"Search finds {figures.recall:.0%} of what exact search finds. {REPAIR}")
    return Diagnosis(well=not found, faults=tuple(found), notes=tuple(notes), figures=figures)


def examine_state(documents: Path, state: State, place: Place) -> Diagnosis:
    """Compare the documents folder with an index that isn't in a folder, through what questions see of it."""
    found: list[str] = []
    notes: list[str] = []
    indexed = state.documents()
    characters = covered = chunks = 0
    for source, about in indexed.items():
        document = state.document(source)
        text = "" if document is None else state.text(document)
        near = [] if document is None else _chunks_of(state, document, len(text))
        if len(text) != about.characters or any(text[one.start : one.end] != one.text for one in near):
            found.append(f"{source}: its chunks in {place} are not of its text. {REBUILD}")
        wanted = sum(not character.isspace() for character in text)
        inside = sum(not character.isspace() for one in near for character in one.text)
        found.extend(_lost({source: Coverage(wanted, inside)}))
        characters, covered, chunks = characters + wanted, covered + inside, chunks + len(near)
    if chunks != (counted := state.chunk_count()):
        mended = BUILD if counted > chunks else REBUILD  # a build that ended early leaves some
        found.append(f"{place} has {counted} chunks, but its documents have {chunks}. {mended}")
    found.extend(_of_folder(documents, state, notes))
    figures = Figures(
        documents=len(indexed),
        dated=sum(about.date is not None for about in indexed.values()),
        copies=None,
        chunks=counted,
        characters=characters,
        indexed_characters=covered,
        store_bytes=None,
        vectors_bytes=None,
        embedder=state.identity.name,
        precision=state.identity.precision,
        dimension=state.identity.dimension,
        recall=None,
    )
    return Diagnosis(well=not found, faults=tuple(found), notes=tuple(notes), figures=figures)


def _chunks_of(state: State, document: int, characters: int) -> list[StoredChunk]:
    """All chunks of a document, read some at a time."""
    found: dict[int, StoredChunk] = {}
    for start in range(0, characters, _READ_CHARS):
        some = state.chunks_between(document, start, min(start + _READ_CHARS, characters))
        found |= {chunk.id: chunk for chunk in some}
    return [*found.values()]


def repair(index: Path, identity: EmbedderIdentity) -> None:
    """Mend what can be mended without the documents; what can't is removed, for the next build to add.

    `IndexFileError` when the index can't be written, is locked, or was built with another embedder.
    """
    store.adopt(index, identity)
    with store.reading(index):
        pass  # where there is none, none is made
    with store.writing(index, identity, rebuild=False) as writer, writer.mended():
        renew_vectors(writer)


def _inside(tables: sqlite3.Connection, dimension: int, index: Path) -> Iterator[str]:
    """What is wrong with the store in itself."""
    damage = [f"{shown(index)}/ is damaged ({what}). {REBUILD}" for what in page_faults(tables)]
    yield from damage
    if not damage:
        for source, what in broken_documents(tables, dimension):
            yield f"{source} {what}. {REPAIR}, then rag build"
        yield from (f"{what[:1].upper()}{what[1:]}. {REPAIR}" for what in faults(tables, dimension))


def _of_vectors(snapshot: Snapshot, saved: VectorIndex | None) -> Iterator[str]:
    """How the FAISS file differs from the store."""
    if saved is None:
        yield f"{snapshot.vectors_path.name} is missing or damaged, so each start makes it anew. {REPAIR}"
        return
    for ids, vectors in snapshot.vectors():
        of_file = saved.vectors(ids)
        if of_file is None or not np.allclose(vectors, of_file, atol=_HALF_PRECISION):
            yield f"{snapshot.vectors_path.name} has not the vectors of the store. {REPAIR}"
            return


def _lost(covered: Mapping[str, Coverage]) -> Iterator[str]:
    for source, found in covered.items():
        if lost := found.characters - found.indexed:
            yield f"{source}: {lost} of its {found.characters} characters are in no chunk. {REBUILD}"


def _of_folder(folder: Path, snapshot: Snapshot | State, notes: list[str]) -> Iterator[str]:
    """How the folder differs from the index: files that are new, changed, gone, unreadable or alike."""
    indexed = {source: about.sha256 for source, about in snapshot.documents().items()}
    try:
        items = list(files(folder))
    except DocumentsError as error:
        yield str(error)
        return
    state = states(items, indexed)
    there = {item.source: item for item in items if isinstance(item, File)}
    failed = [item for item in items if isinstance(item, Failure)]
    other: list[str] = []
    with Extraction() as extraction:
        for source, file in there.items():
            if state[source] == "changed":
                continue
            item = read(file, extraction)
            if isinstance(item, Failure):
                failed.append(item)
                state[source] = "failed"
            elif state[source] == "indexed":
                document = snapshot.document(source)
                if document is None or item.text != snapshot.text(document):
                    other.append(source)
    for what, kind in (
        ("not in the index", "new"),
        ("changed since it was indexed", "changed"),
        ("in the index, but not in the folder", "gone"),
    ):
        if sources := [source for source, found in state.items() if found == kind]:
            yield f"{_named(sources)}: {what}. {BUILD}"
    for source in other:
        yield f"{source}: its text in the index is not the file's. {REBUILD}"
    for failure in failed:
        yield f"{failure.source}: it {failure.reason}."
    alike: dict[str, list[str]] = {}
    for source, file in there.items():
        alike.setdefault(file.sha256, []).append(source)
    notes.extend(f"The same file: {_named(same)}." for same in alike.values() if len(same) > 1)


def _figures(
    snapshot: Snapshot, index: Path, covered: Mapping[str, Coverage], saved: VectorIndex | None
) -> Figures:
    return Figures(
        documents=len(covered),
        dated=snapshot.count("documents WHERE date IS NOT NULL"),
        copies=snapshot.count(
            "documents WHERE story IN (SELECT story FROM documents GROUP BY story HAVING count(*) > 1)"
        ),
        chunks=snapshot.chunk_count(),
        characters=sum(one.characters for one in covered.values()),
        indexed_characters=sum(one.indexed for one in covered.values()),
        store_bytes=sum(path.stat().st_size for path in index.glob("store-*")),
        vectors_bytes=sum(path.stat().st_size for path in index.glob("vectors-*")),
        embedder=snapshot.identity.name,
        precision=snapshot.identity.precision,
        dimension=snapshot.identity.dimension,
        recall=_recall(snapshot, saved),
    )


def _recall(snapshot: Snapshot, saved: VectorIndex | None) -> float | None:
    """How many of the nearest by exact search the FAISS index finds, for vectors of its own."""
    count = snapshot.chunk_count()
    if saved is None or not count:
        return None
    every = max(count // _SEARCHED, 1)
    searched = np.concatenate([some[::every].copy() for _, some in snapshot.vectors()])[:_SEARCHED]
    exact = np.zeros((len(searched), 0), dtype=np.float32)
    for _, some in snapshot.vectors():
        exact = np.sort(np.hstack([exact, searched.dot(some.T)]), axis=1)[:, -_NEAREST:]
    found = []
    for vector, cosines in zip(searched, exact, strict=True):
        near = [cosine for _, cosine in saved.search(vector, _NEAREST)]
        found.append(np.mean(np.array(near) >= cosines[0] - _HALF_PRECISION) * len(near) / len(cosines))
    return float(np.mean(found))


def _named(sources: Sequence[str]) -> str:
    """The first few of them, and how many more there are."""
    more = f" and {len(sources) - _NAMED} more" if len(sources) > _NAMED else ""
    return ", ".join(sources[:_NAMED]) + more
