"""Documents folder and index → whether the index is intact and in step with the folder, and what isn't.

Each file is read again and compared with the indexed text, each character is looked for in a chunk, and the
backend checks its own store.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.documents.folder import files, passed_over, read
from rag.documents.sandbox import Sandbox
from rag.errors import DocumentsError, IndexFileError
from rag.index.base import BUILD, REBUILD, Backend, Coverage, Documents, Examination
from rag.indexing.catalog import states
from rag.types import EmbedderIdentity, Failure

_NAMED = 5
"""How many documents a fault names."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the index holds: sizes in bytes; characters of indexed documents without white space.

    `near_duplicates`, sizes and `recall` as in `rag.index.base.Examination`, None for what a backend can't
    tell.
    """

    documents: int
    dated: int
    near_duplicates: int | None
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
    """The faults, each with the command that repairs it, and notes, which are no faults.

    `figures` are None where the store isn't intact.
    """

    well: bool
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    figures: Figures | None


def examine(documents: Path, backend: Backend, identity: EmbedderIdentity) -> Diagnosis:
    """Compare the documents folder with the index, and have the index checked."""
    faults: list[str] = []
    notes: list[str] = []
    figures = None
    try:
        with backend.examine(identity) as (state, examination):
            faults += [*examination.faults, *_lost(examination.coverage)]
            notes += examination.notes
            faults += _compared(documents, state, notes)
            if examination.sound:
                figures = _figures(state, examination)
    except IndexFileError as error:
        faults.append(str(error))
    return Diagnosis(well=not faults, faults=tuple(faults), notes=tuple(notes), figures=figures)


def _lost(coverage: Mapping[str, Coverage]) -> Iterator[str]:
    for source, covered in coverage.items():
        if lost := covered.characters - covered.indexed:
            yield f"{source}: {lost} of its {covered.characters} characters are in no chunk. {REBUILD}"


def _compared(folder: Path, state: Documents, notes: list[str]) -> Iterator[str]:
    """How the folder differs from the index; files that are the same are noted."""
    try:
        items = list(files(folder))
    except DocumentsError as error:
        yield str(error)
        return
    by_source = states(items, state.documents())
    failed = [item for item in items if isinstance(item, Failure)]
    other_text: list[str] = []
    by_content: dict[str, list[str]] = {}
    with Sandbox() as sandbox:
        for file in items:
            if isinstance(file, Failure):
                continue
            by_content.setdefault(file.sha256, []).append(file.source)
            if by_source[file.source] == "changed":
                continue
            item = read(file, sandbox)
            if isinstance(item, Failure):
                failed.append(item)
                by_source[file.source] = "failed"
            elif by_source[file.source] == "indexed":
                document = state.document(file.source)
                if document is None or item.text != state.text(document):
                    other_text.append(file.source)
    for what, kind in (
        ("not in the index", "new"),
        ("changed since it was indexed", "changed"),
        ("in the index, but not in the folder", "gone"),
    ):
        if sources := [source for source, of_source in by_source.items() if of_source == kind]:
            yield f"{_named(sources)}: {what}. {BUILD}"
    yield from (f"{source}: its text in the index is not the file's. {REBUILD}" for source in other_text)
    yield from (f"{failure.source}: it {failure.reason}." for failure in failed)
    if kinds := ", ".join(f"{count} {kind}" for kind, count in passed_over(folder)):
        notes.append(f"Not read: {kinds}.")
    notes.extend(f"The same file: {_named(same)}." for same in by_content.values() if len(same) > 1)


def _figures(state: Documents, examination: Examination) -> Figures:
    indexed = state.documents()
    return Figures(
        documents=len(indexed),
        dated=sum(about.date is not None for about in indexed.values()),
        near_duplicates=examination.near_duplicates,
        chunks=examination.chunks,
        characters=sum(one.characters for one in examination.coverage.values()),
        indexed_characters=sum(one.indexed for one in examination.coverage.values()),
        store_bytes=examination.store_bytes,
        vectors_bytes=examination.vectors_bytes,
        embedder=state.identity.name,
        precision=state.identity.precision,
        dimension=state.identity.dimension,
        recall=examination.recall,
    )


def _named(sources: Sequence[str]) -> str:
    """The first few sources, and the number of the others."""
    more = f" and {len(sources) - _NAMED} more" if len(sources) > _NAMED else ""
    return ", ".join(sources[:_NAMED]) + more
