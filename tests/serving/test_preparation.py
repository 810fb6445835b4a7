"""The start: what is said of it, what a program that asks meanwhile gets."""

import pytest

from rag import store
from rag.errors import IndexFileError
from rag.serving import preparation as preparations
from rag.serving.preparation import Preparation
from rag.settings import Settings, resolve


def ready(settings: Settings) -> Preparation:
    preparation = Preparation(settings)
    preparation.start()
    assert preparation.ended.wait(120)
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
    assert preparation.ended.wait(120)

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
    monkeypatch.setattr(preparations, "WAIT_S", 0.0)
    with pytest.raises(IndexFileError, match=r"^The documents can't be asked yet: Starting… Ask again in"):
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
