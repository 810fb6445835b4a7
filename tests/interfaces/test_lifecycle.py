"""The start: what is said of it, what a program that asks meanwhile gets."""

import pytest

from rag.errors import DocumentsError, IndexFileError
from rag.index.disk import store
from rag.indexing.catalog import Listed
from rag.interfaces import lifecycle
from rag.interfaces.lifecycle import Preparation
from rag.settings import Settings, resolve
from tests.support import PATIENCE_S

pytestmark = pytest.mark.model


def ready(settings: Settings) -> Preparation:
    preparation = Preparation(settings)
    preparation.start()
    assert preparation.ended.wait(PATIENCE_S)
    return preparation


def test_a_build_elsewhere_does_not_keep_the_page_from_answering(seed_settings: Settings):
    with store.reading(seed_settings.index) as snapshot:
        identity = snapshot.identity
    with store.writing(seed_settings.index, identity, rebuild=False):
        preparation = ready(seed_settings)

    assert preparation.failure is None
    assert preparation.engine is not None
    assert " is being built by process " in preparation.state
    assert preparation.state.endswith(" Answers come from the index as it is.")


def test_a_failed_start_is_tried_again_when_the_page_is_opened_again(tmp_path):
    preparation = ready(resolve(documents=tmp_path / "seeds", index=tmp_path / "index"))
    assert preparation.engine is None
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "one.txt").write_text("The river froze in January.", "utf-8")
    preparation.start()
    assert preparation.ended.wait(PATIENCE_S)

    assert preparation.failure is None
    assert preparation.state == "1 document indexed."


def test_the_engine_is_given_once_the_start_is_over(seed_settings: Settings):
    preparation = Preparation(seed_settings)
    preparation.start()

    assert preparation.ready().search("the Kremlin spokesman", k=1)[0].source.endswith(".txt")


def test_a_start_that_failed_is_told_of_to_who_asks(tmp_path):
    preparation = ready(resolve(documents=tmp_path / "none", index=tmp_path / "index"))
    with pytest.raises(IndexFileError, match=r"^The documents folder .* doesn't exist\. Name another"):
        preparation.ready()


def test_who_asks_is_not_kept_waiting_for_good(seed_settings: Settings, monkeypatch):
    monkeypatch.setattr(lifecycle, "WAIT_S", 0.0)
    with pytest.raises(IndexFileError, match=r"^The documents aren't ready yet: Starting… Ask again in"):
        Preparation(seed_settings).ready()


def test_a_build_that_is_asked_for_mends_a_failed_start(tmp_path):
    (tmp_path / "seeds").mkdir()
    preparation = ready(resolve(documents=tmp_path / "seeds", index=tmp_path / "index"))
    with pytest.raises(IndexFileError, match="has no readable document"):
        preparation.ready()
    (tmp_path / "seeds" / "one.txt").write_text("The river froze in January.", "utf-8")

    assert preparation.build().added == ("one.txt",)
    assert preparation.ready().answer("When did the river freeze?").citations[0].source == "one.txt"
    assert preparation.state == "1 document indexed."


@pytest.fixture
def frozen(tmp_path) -> Preparation:
    """The start over one document, gone well."""
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "one.txt").write_text("The river froze in January.", "utf-8")
    return ready(resolve(documents=tmp_path / "seeds", index=tmp_path / "index"))


def test_documents_are_known_with_their_state_before_and_after_a_build(frozen):
    folder = frozen.settings.documents
    (folder / "two.txt").write_text("War.", "utf-8")
    (folder / "empty.txt").write_text("", "utf-8")
    (folder / "three.pdf").write_bytes(b"no PDF")
    assert [(one.source, one.state) for one in frozen.documents()] == [
        ("empty.txt", "new"),
        ("one.txt", "indexed"),
        ("three.pdf", "new"),
        ("two.txt", "new"),
    ]
    report = frozen.build()
    assert report.added == ("two.txt",)
    reasons = {failure.source: failure.reason for failure in report.failed}
    assert frozen.documents() == (
        Listed("empty.txt", "failed", reasons["empty.txt"]),
        Listed("one.txt", "indexed", characters=27),
        Listed("three.pdf", "failed", reasons["three.pdf"]),
        Listed("two.txt", "indexed", characters=4),
    )


def test_documents_are_known_without_an_index(tmp_path):
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "one.txt").write_text("War.", "utf-8")
    settings = resolve(documents=tmp_path / "seeds", index=tmp_path / "index")
    assert Preparation(settings).documents() == (Listed("one.txt", "new"),)
    assert Preparation(resolve(documents=tmp_path / "none", index=tmp_path / "index")).documents() == ()


def test_an_index_is_built_from_nothing(frozen):
    before = frozen.ready().generation()
    assert frozen.build().unchanged == ("one.txt",)
    assert frozen.ready().generation() == before
    report = frozen.build(rebuild=True)
    assert (report.added, report.unchanged) == (("one.txt",), ())
    assert frozen.ready().generation() != before
    assert frozen.state == "1 document indexed."


def test_after_the_last_document_was_removed_the_index_answers_nothing(frozen):
    (frozen.settings.documents / "one.txt").unlink()
    with pytest.raises(DocumentsError, match="no readable document"):
        frozen.build()
    assert "no readable document" in frozen.state
    assert [one.state for one in frozen.documents()] == ["gone"]

    assert frozen.build(may_be_empty=True).removed == ("one.txt",)
    assert frozen.state == "0 documents indexed."
    assert frozen.documents() == ()
    answer = frozen.ready().answer("When did the river freeze?")
    assert (answer.passages, answer.citations) == ((), ())
    assert answer.abstained == "nothing in the documents bears on the question"


def test_the_index_follows_the_folder(frozen, monkeypatch):
    """As where the folder is seen to change twice: with what can be read, and with what can't."""

    def changing(folder, *, due, **_):
        (folder / "one.txt").write_text("The river froze in March.", "utf-8")
        yield
        told.append((frozen.state, due()))
        (folder / "one.txt").unlink()
        yield
        told.append((frozen.state, due()))

    told: list[tuple[str, bool]] = []
    monkeypatch.setattr(lifecycle, "changes", changing)
    frozen.watch()

    (first, later) = told
    assert first == ("1 document indexed.", False)
    assert later[0].endswith(" Answers come from the index as it is.")
    (citation,) = frozen.ready().answer("When did the river freeze?").citations
    assert citation.quote == "The river froze in March."
