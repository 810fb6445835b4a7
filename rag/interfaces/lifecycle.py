"""Updates the index and loads the engine in the background, while the server already answers."""

import threading
from dataclasses import dataclass, field

from rag import wiring
from rag.answering.engine import Engine
from rag.documents.watcher import changes
from rag.errors import DocumentsError, IndexFileError, RagError
from rag.indexing.catalog import Listed
from rag.interfaces.rendering import not_read
from rag.settings import Settings
from rag.types import BuildReport, Failure

WAIT_S = 50.0
"""How long a question waits for the start; clients give up after a minute."""


@dataclass
class Preparation:
    """Builds the index and loads the engine in a thread of its own; `state` is its progress, for the user.

    `due`: another build is needed, as the index was locked. `failed`: the files that the last build couldn't
    read. `builds`: the number of builds. `emptied`: the last one left no document, as it was allowed to.
    """

    settings: Settings
    state: str = "Starting…"
    engine: Engine | None = None
    failure: str | None = None
    running: bool = False
    due: bool = False
    failed: tuple[Failure, ...] = ()
    builds: int = 0
    emptied: bool = False
    starting: threading.Lock = field(default_factory=threading.Lock)
    building: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin, unless it is running or has succeeded; `state` changes from now on, until `ended`."""
        with self.starting:
            if self.running or self.engine is not None:
                return
            self.running, self.failure = True, None
            self.ended.clear()
        threading.Thread(target=self._prepare, name="preparation", daemon=True).start()

    def _prepare(self) -> None:
        try:
            self.state = "Reading the documents…"
            note = self._build()
            self.state = "Loading the models…"
            self.engine = wiring.engine(self.settings)
            self.state = note
        except RagError as error:
            self.failure = self.state = str(error)
        except Exception as error:
            self.failure = self.state = f"The start failed ({error!r}). The terminal has the details."
            raise
        finally:
            self.running = False
            self.ended.set()

    def ready(self) -> Engine:
        """The engine, after waiting up to `WAIT_S` for a start; `IndexFileError` while there is none."""
        if not self.ended.wait(WAIT_S):
            raise IndexFileError(f"The documents aren't ready yet: {self.state} Ask again in a minute.")
        if self.engine is None:
            raise IndexFileError(self.failure or self.state)
        return self.engine

    def build(self, *, rebuild: bool = False, may_be_empty: bool = False) -> BuildReport:
        """Update the index now, then load the engine unless it is loaded; errors as from `rag.build`."""
        try:
            report = self._built(rebuild=rebuild, may_be_empty=may_be_empty)
        except RagError as error:
            self.state = str(error)
            raise
        self.state = _summary(report)
        self.start()
        return report

    def documents(self) -> tuple[Listed, ...]:
        """Each document of the folder and of the index, with its state."""
        return wiring.listed(self.settings, self.failed)

    def watch(self) -> None:
        """Update the index whenever the folder changes, without end; questions are answered meanwhile."""
        for _ in changes(
            self.settings.documents,
            index=wiring.backend(self.settings).folder,
            stop=threading.Event(),
            due=lambda: self.due,
        ):
            self.ended.wait()
            if self.engine is None:
                self.start()
                continue
            try:
                self.state = self._build()
            except RagError as error:
                self.state = str(error)
            except Exception as error:  # noqa: BLE001  a defect in one build doesn't end the watching
                self.state = f"The index couldn't be updated ({error!r})."

    def _build(self) -> str:
        try:
            report = self._built(may_be_empty=self.emptied)
        except (DocumentsError, IndexFileError) as error:
            # Another build may have locked the index: try again.
            self.due = isinstance(error, IndexFileError)
            # An index that can't be updated may still be readable; if not, loading it says so.
            if not wiring.backend(self.settings).exists():
                raise
            return f"{error} Answers come from the index as it is."
        self.due = False
        return _summary(report)

    def _built(self, *, rebuild: bool = False, may_be_empty: bool = False) -> BuildReport:
        with self.building:  # waits for another build of this process
            report = wiring.build(
                self.settings, rebuild=rebuild, may_be_empty=may_be_empty, progress=self._embedding
            )
        self.failed = report.failed
        self.emptied = not (report.added or report.changed or report.unchanged)
        self.builds += 1
        return report

    def _embedding(self, done: int, total: int) -> None:
        self.state = f"Embedding the documents: {100 * done // max(total, 1)} %…"


def _summary(report: BuildReport) -> str:
    count = len(report.added) + len(report.changed) + len(report.unchanged)
    skipped = "; ".join(f"{failure.source} {failure.reason}" for failure in report.failed[:5])
    more = f" and {len(report.failed) - 5} more" if len(report.failed) > 5 else ""
    documents = "1 document" if count == 1 else f"{count} documents"
    said = [
        f"{documents} indexed.",
        f"Skipped: {skipped}{more}." if skipped else "",
        not_read(report.passed_over),
    ]
    return " ".join(filter(None, said))
