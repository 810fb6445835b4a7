"""Documents on their way into an index, in a file: a folder may be larger than memory."""

import contextlib
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rag.errors import IndexFileError, shown
from rag.types import Chunk, Document


class Spool:
    """Documents with their chunks, in a file without a name in the index folder.

    `IndexFileError` from each method when the file can't be written.
    """

    def __init__(self, index: Path) -> None:
        """Begin with no document."""
        self._index = index
        self.sources: dict[str, None] = {}
        """The sources of the documents, in order."""
        with self._translated():
            self._file = tempfile.TemporaryFile(dir=index)  # noqa: SIM115  closed by `close`

    def close(self) -> None:
        """Remove the file."""
        with self._translated():
            self._file.close()

    def add(self, document: Document, pieces: tuple[Chunk, ...]) -> None:
        """Append a document with its chunks."""
        with self._translated():
            pickle.dump((document, pieces), self._file)
            self._file.flush()
        self.sources[document.source] = None

    def __iter__(self) -> Iterator[tuple[Document, tuple[Chunk, ...]]]:
        with self._translated():
            self._file.seek(0)
        for _ in self.sources:
            with self._translated():
                item = pickle.load(self._file)
            yield item

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise IndexFileError(
                f"{shown(self._index)}/ can't be written: {error.strerror}. Check its disk space, or name "
                "another: --index DIR"
            ) from error
