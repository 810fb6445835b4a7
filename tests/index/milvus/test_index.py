"""An index on a real Milvus server: the same citations as from a folder, one sentence for each mishap."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

import rag
from rag import wiring
from rag.errors import IndexFileError, SettingsError
from rag.index.milvus import collections
from rag.index.milvus.client import connected
from rag.retrieval.query import analyse
from rag.settings import Settings, resolve
from rag.text.sentences import sentences
from rag.uris import milvus_address
from tests.support import ROOT, SEEDS
from tests.support.milvus_server import Server, milvus_server
from tests.support.stores import IDENTITY

pytest.importorskip("pymilvus")

QUESTIONS = json.loads((ROOT / "tests" / "questions.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """A server that wants a password."""
    folder = tmp_path_factory.mktemp("milvus")
    with milvus_server(folder / "data", folder / "programs", authorization_enabled=True) as started:
        yield started


@pytest.fixture(scope="module")
def place(server: Server) -> str:
    """Where an index of the seed articles is."""
    where = f"milvus://root:Milvus@127.0.0.1:{server.port}/articles"
    report = rag.build(SEEDS, index=where, retrieval="dense")
    assert len(report.added) == 5
    return where


@pytest.fixture
def settings(place: str) -> Settings:
    return resolve(documents=SEEDS, index=place, retrieval="dense")


def fifty() -> list[str]:
    """The questions of the project, and what articles say turned into more of them."""
    asked = [row["question"] for row in QUESTIONS["answerable"]] + QUESTIONS["unanswerable"]
    for path in sorted(SEEDS.iterdir()):
        text = path.read_text("utf-8")
        found = [text[start:end] for start, end in sentences(text) if 40 < end - start < 250]
        asked.extend(f"Who says that {one[:1].lower()}{one[1:].rstrip('.')}?" for one in found[:10])
    return [*dict.fromkeys(asked)][:50]


def test_fifty_questions_get_the_citations_that_they_get_from_faiss(place, seed_settings: Settings):
    local = wiring.engine(replace(seed_settings, retrieval="dense"))
    milvus = rag.load(index=place, retrieval="dense")
    asked = fifty()
    assert len(set(asked)) == 50

    cited = 0
    for question in asked:
        expected, found = local.answer(question), milvus.answer(question)
        assert found.citations == expected.citations, question
        assert (found.text, found.abstained) == (expected.text, expected.abstained)
        assert [(one.source, one.start, one.end) for one in found.passages] == [
            (one.source, one.start, one.end) for one in expected.passages
        ]
        cited += len(expected.citations)
    assert cited > 40


def test_a_question_that_goes_on_a_date_and_a_source_are_understood(place):
    engine = rag.load(index=place, retrieval="dense")
    source = engine.search("Who is the Kremlin spokesman?", k=1)[0].source

    assert {one.source for one in engine.search("Moscow", k=5, sources=[source])} == {source}
    with pytest.raises(rag.QuestionError, match=r"has no document nothing\.txt"):
        engine.search("Moscow", sources=["nothing.txt"])
    answer = engine.answer("Who is the Kremlin spokesman?")
    opened = engine.open(answer.citations[0])
    assert opened.text[opened.start : opened.end] == answer.citations[0].quote
    assert not opened.changed


def test_the_doctor_and_the_list_of_documents_know_it(settings: Settings):
    found = wiring.examine(settings)
    assert found.well, found.faults
    assert found.figures is not None
    assert found.figures.documents == 5
    assert found.figures.characters == found.figures.indexed_characters
    assert {(one.state, one.characters is not None) for one in wiring.listed(settings)} == {("indexed", True)}
    with pytest.raises(IndexFileError, match="is repaired by a build"):
        wiring.repair(settings)


def test_collections_whose_creation_broke_off_are_in_nobodys_way(server, tmp_path):
    (tmp_path / "a.txt").write_text("War and peace.")
    where = f"milvus://root:Milvus@127.0.0.1:{server.port}/broken"
    address = milvus_address(where)
    client = connected(address)
    for kind in ("added", "unchanged"):  # a first build, and one of what is there
        half = collections._created(client, address, IDENTITY, keyword=False)
        client.release_collection(collections.documents_of(half))
        client.drop_index(collections.documents_of(half), "vector")
        assert getattr(rag.build(tmp_path, index=where, retrieval="dense"), kind) == ("a.txt",)
        assert collections.own(client, address) == [collections.collection_of(client, address)]


def test_an_unchanged_build_writes_nothing(place, settings):
    before = wiring.open_index(settings).generation()
    report = rag.build(SEEDS, index=place, retrieval="dense")

    assert (len(report.unchanged), report.added, report.changed) == (5, (), ())
    assert wiring.open_index(settings).generation() == before


def ran(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rag", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_the_command_line_takes_it_where_a_folder_goes(place):
    asked = ran("ask", "Who is the Kremlin spokesman?", "--index", place, "--retrieval", "dense")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "Peskov" in asked.stdout

    listed = ran("doctor", "--documents", str(SEEDS), "--index", place)
    assert listed.returncode == 0, listed.stdout
    assert "All is well." in listed.stdout


def test_an_old_server_says_what_it_lacks(place, server):
    other = place.replace("/articles", "/other")
    with pytest.raises(
        IndexFileError,
        match=r"is v2\.3\.5-lite; search by words needs 2\.5 or later\. .*: --retrieval dense$",
    ):
        rag.build(SEEDS, index=other)
    with pytest.raises(IndexFileError, match=r"was built for dense search alone\. .*: --retrieval dense$"):
        rag.search("Moscow", index=place)


def test_another_embedder_is_reported(place):
    with pytest.raises(IndexFileError, match=r"was built with .* in int8; settings name fp32"):
        rag.search("Moscow", index=place, retrieval="dense", precision="fp32")


@pytest.mark.parametrize("who", ["", "root:wrong@", "nobody:Milvus@"])
def test_a_wrong_password_is_one_sentence_without_it(server, who):
    found = ran("search", "Moscow", "--index", f"milvus://{who}127.0.0.1:{server.port}/articles")

    name = f"{who.partition(':')[0]} with this password" if who else "a client without user and password"
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == (
        f"rag: The Milvus server at 127.0.0.1:{server.port} refuses {name}. Check RAG_MILVUS_USER and "
        "RAG_MILVUS_PASSWORD.\n"
    )


def test_a_password_may_come_from_the_environment(place, server, monkeypatch):
    monkeypatch.setenv("RAG_MILVUS_USER", "root")
    monkeypatch.setenv("RAG_MILVUS_PASSWORD", "Milvus")
    where = f"milvus://127.0.0.1:{server.port}/articles"
    assert rag.search("Moscow", index=where, retrieval="dense")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """The files of an authority's certificate, and of a server's, for 127.0.0.1, with its key."""
    folder = tmp_path_factory.mktemp("certificates")
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=rag test"]
    key, made = folder / "server.key", folder / "server.pem"
    ran = [*new, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    try:
        subprocess.run(ran, check=True, capture_output=True)
    except OSError:
        pytest.skip("no openssl to make certificates with")
    return key, made


def test_a_server_with_tls_is_reached_with_tls_alone(tmp_path, certificates, server, monkeypatch):
    key, made = certificates
    programs = server.programs
    options = {"tls_mode": 1, "server_pem_path": str(made), "server_key_path": str(key)}
    with milvus_server(tmp_path / "data", programs, **options) as started:
        where = f"127.0.0.1:{started.port}/articles"
        with pytest.raises(IndexFileError, match=r"requires TLS \(milvus\+tls://\)"):
            rag.search("Moscow", index=f"milvus://{where}")
        with pytest.raises(IndexFileError, match=r"can't be reached\. .* RAG_MILVUS_CERTIFICATE"):
            rag.search("Moscow", index=f"milvus+tls://{where}")
        monkeypatch.setenv("RAG_MILVUS_CERTIFICATE", str(made))
        with pytest.raises(IndexFileError, match=r"^No index in milvus\+tls://.*Build it: rag build$"):
            rag.search("Moscow", index=f"milvus+tls://{where}")
        monkeypatch.setenv("RAG_MILVUS_CERTIFICATE", str(made) + ".absent")
        with pytest.raises(IndexFileError, match=r"absent can't be read"):
            rag.search("Moscow", index=f"milvus+tls://{where}")


def test_a_server_that_does_not_answer_is_one_sentence_and_then_answers_again(server, settings, monkeypatch):
    retriever = wiring.retriever(settings)
    server.pause()
    try:
        with monkeypatch.context() as impatient:
            impatient.setattr("rag.index.milvus.client.ANSWER_S", 2.0)
            with pytest.raises(IndexFileError, match=r"doesn't answer \(a question waits 2 s\)\. Ask again"):
                retriever.retrieve(analyse("Moscow"), 5)
    finally:
        server.go_on()

    assert retriever.retrieve(analyse("Moscow"), 5).passages


def test_a_server_that_is_not_there_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    where = f"milvus://127.0.0.1:{port}/articles"
    unreachable = f"The Milvus server at 127.0.0.1:{port} can't be reached."
    for use in (lambda: rag.search("Moscow", index=where), lambda: rag.build(SEEDS, index=where)):
        with pytest.raises(IndexFileError, match=rf"^{re.escape(unreachable)}"):
            use()
    (fault,) = wiring.examine(resolve(documents=SEEDS, index=where)).faults
    assert fault.startswith(unreachable)


@pytest.mark.parametrize(
    "text",
    [
        "milvus://host",
        "milvus://host:port/articles",
        "milvus://host/arti-cles",
        "milvus://user:secret@host/",
        "milvus://root:sec/secret@host/articles",
        "milvus://root:p@secret@host/arti-cles",
        "milvus:///articles",
        "milvus+tls:///folder/x.db/articles",
        "milvus://host/a/b",
    ],
)
def test_what_is_no_address_is_one_sentence(text):
    with pytest.raises(SettingsError, match="which is written milvus://host:port/collection") as told:
        resolve(index=text)
    assert "secret" not in str(told.value)


def test_an_address_is_shown_without_its_password():
    address = resolve(index="milvus+tls://me:secret@example.org/articles").index
    assert str(address) == "milvus+tls://example.org:19530/articles"
    assert "secret" not in repr(address)
    assert (address.user, address.password, address.tls) == ("me", "secret", True)


def test_a_server_that_goes_away_is_one_sentence(server, settings):
    """The last test: it ends the server."""
    retriever = wiring.retriever(settings)
    assert retriever.retrieve(analyse("Moscow"), 5).passages
    server.stop()

    with pytest.raises(IndexFileError, match=r"can't be reached\. Check that it runs"):
        retriever.retrieve(analyse("Moscow"), 5)
