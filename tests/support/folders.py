"""A small documents folder and its index, over an embedder of five words."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from rag.index.disk.backend import DiskBackend
from rag.index.disk.index import DiskIndex
from rag.indexing.build import Progress, build_index, embedder_identity, in_this_process
from rag.indexing.doctor import Diagnosis, examine
from rag.models.embedder import Embedder
from rag.retrieval.query import analyse
from rag.retrieval.retriever import Retriever
from rag.types import BuildReport, EmbedderIdentity
from tests.support.fakes import WordEmbedder

IDENTITY = embedder_identity("words", "ab" * 32, WordEmbedder.dimension)


TEXTS = {
    "a.txt": "War and war and bread.",
    "b.txt": "Peace by the river.",
    "c.txt": "Salt, bread and the river.",
}


def built(
    documents: Path,
    index: Path,
    *,
    identity: EmbedderIdentity = IDENTITY,
    embedder: Embedder | None = None,
    load_embedder: Callable[[], Embedder] | None = None,
    rebuild: bool = False,
    may_be_empty: bool = False,
    progress: Progress = lambda done, total: None,
) -> BuildReport:
    """Build an index in a folder with this embedder, or what `load_embedder` gives."""
    return build_index(
        documents,
        partial(DiskBackend(index).write, identity, rebuild=rebuild),
        in_this_process(
            load_embedder or (lambda: embedder or WordEmbedder()), batch_texts=DiskBackend.batch_texts
        ),
        progress=progress,
        may_be_empty=may_be_empty,
    )


class Folders:
    """A documents folder and an index of it, with an embedder that records what it embeds."""

    def __init__(self, place: Path) -> None:
        self.documents = place / "docs"
        self.index = place / "index"
        self.embedder = WordEmbedder()

    def write(self, texts: dict[str, str]) -> None:
        self.documents.mkdir(exist_ok=True)
        for source, text in texts.items():
            (self.documents / source).write_text(text, encoding="utf-8", newline="")

    def build(self, **options) -> BuildReport:
        self.embedder.embedded.clear()
        return built(self.documents, self.index, **{"embedder": self.embedder, **options})

    def examine(self, identity: EmbedderIdentity = IDENTITY) -> Diagnosis:
        return examine(self.documents, DiskBackend(self.index), identity)

    def repair(self, identity: EmbedderIdentity = IDENTITY) -> None:
        DiskBackend(self.index).repair(identity)

    def found(self, question: str, k: int = 5) -> list[tuple[str, float]]:
        """The (source, score) of the passages, as a process that starts now finds them."""
        passages = (
            Retriever(DiskIndex(self.index, IDENTITY), WordEmbedder()).retrieve(analyse(question), k).passages
        )
        return [(passage.source, round(passage.score, 6)) for passage in passages]

    def state(self) -> str:
        return (self.index / "current").read_text()

    def store(self) -> Path:
        return self.index / self.state()

    def vectors_file(self) -> Path:
        (path,) = self.index.glob("vectors-*.faiss")
        return path


def mangle(how: str, path: Path) -> None:
    content = path.read_bytes()
    half = len(content) // 2
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "truncated":
        path.write_bytes(content[:half])
    elif how == "overwritten":
        path.write_bytes(content[:half] + bytes(range(255, 235, -1)) + content[half + 20 :])
    elif how == "text":
        path.write_text("not this kind of file")
