"""The page's parts as plain functions; the page itself is clicked in tests/browser."""

import asyncio
import json
import socket
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag.answering.engine import Engine
from rag.errors import DocumentsError, QuestionError, RagError, SettingsError
from rag.indexing.catalog import Listed
from rag.interfaces.chat.conversation import Conversation, Turn, continued, record
from rag.interfaces.chat.panes import Panes
from rag.interfaces.chat.session import Session, messages
from rag.interfaces.lifecycle import Preparation
from rag.settings import Settings, resolve
from tests.support import PATIENCE_S, ROOT
from tests.support.chat_examples import DECLINED, parsed, text_of, texts_of

pytestmark = pytest.mark.model

VISIT = "Who is scheduled to visit Moscow early next week?"
TILLERSON = "Rex Tillerson is scheduled to visit Moscow early next week."


@pytest.fixture
def seeds(seed_settings: Settings, seed_engine: Engine) -> Any:
    """The panes over the seed articles."""
    preparation = Preparation(seed_settings, engine=seed_engine)
    preparation.ended.set()
    return Panes(preparation, read_only=False)


@pytest.fixture(scope="module")
def visited(seed_engine: Engine) -> Session:
    """A conversation whose first turn was stopped, and whose second is answered."""
    stopped = continued(Conversation(), Turn(VISIT, None, "Stopped."))
    return Session(continued(stopped, Turn(VISIT, seed_engine.answer(VISIT))))


@pytest.fixture
def panes(tmp_path: Path) -> Any:
    """The panes over a folder of two documents, indexed."""
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "ice.txt").write_text("The river froze in January.", "utf-8")
    (tmp_path / "seeds" / "war.txt").write_text("The war began in spring.", "utf-8")
    preparation = Preparation(resolve(documents=tmp_path / "seeds", index=tmp_path / "index"))
    preparation.build()
    preparation.ready()
    return Panes(preparation, read_only=False)


def sent(place: Path, texts: dict[str, str]) -> list[str]:
    """Files as a browser has sent them."""
    (place / "sent").mkdir()
    for name, text in texts.items():
        (place / "sent" / name).write_text(text, "utf-8")
    return [str(place / "sent" / name) for name in texts]


def states(panes: Any) -> dict[str, str]:
    return {one.source: one.state for one in panes.preparation.documents()}


def test_an_error_is_told_on_the_page_as_text():
    from gradio import Error

    from rag.interfaces.chat.handlers import shows_errors

    @shows_errors
    def failing(name: str, *, size: int) -> str:
        if size > 1:
            raise DocumentsError(f"{name} has <b>{size}</b> bytes.")
        return name

    assert failing("a.txt", size=1) == "a.txt"
    with pytest.raises(Error) as refused:
        failing("a.txt", size=2)
    assert text_of(refused.value.message) == "a.txt has <b>2</b> bytes."
    assert parsed(refused.value.message).xpath(".//*") == []
    assert not refused.value.print_exception


def test_a_defect_is_not_told_as_if_it_could_be_put_right():
    from rag.interfaces.chat.handlers import shows_errors

    with pytest.raises(ZeroDivisionError):
        shows_errors(lambda: 1 / 0)()


def test_a_citation_opens_its_document_with_the_quote_marked(seeds, visited):
    content = seeds.source(visited.conversation, "cite", 1, 0)
    text = (ROOT / "seeds" / "004_4d98d33cc253c48d.txt").read_text("utf-8")
    assert text_of(content, "//mark") == TILLERSON
    assert text_of(content, "//h2") == "004_4d98d33cc253c48d.txt"
    assert text_of(content, "//*[@class='text']") == text
    assert texts_of(content, "//p[@class='changed']") == []


def test_a_passage_opens_its_document_with_the_passage_marked(seeds, visited):
    passage = visited.conversation.turns[1].answer.passages[3]
    content = seeds.source(visited.conversation, "passage", 1, 3)
    assert text_of(content, "//h2") == passage.source
    assert text_of(content, "//mark") == passage.text
    assert text_of(content, "//*[@class='about']").endswith(f"characters {passage.start}-{passage.end}")


@pytest.mark.parametrize(
    ("what", "turn", "number"),
    [("cite", 0, 0), ("cite", 1, 1), ("cite", 1, -1), ("cite", 2, 0), ("cite", -1, 0), ("passage", 1, 5)],
)
def test_what_is_no_longer_cited_is_not_opened(seeds, visited, what, turn, number):
    with pytest.raises(QuestionError, match=r"^This is no longer in the conversation\. Ask again\.$"):
        seeds.source(visited.conversation, what, turn, number)


def test_a_document_is_opened_by_its_name(seeds):
    content = seeds.document("004_4d98d33cc253c48d.txt")
    assert text_of(content, "//h2") == "004_4d98d33cc253c48d.txt"
    assert texts_of(content, "//mark") == []
    gone = seeds.document("../app.py")
    assert texts_of(gone, "//p[@class='changed']") == ["This document is no longer indexed."]
    assert texts_of(gone, "//*[@class='text']") == [""]


def test_a_document_whose_file_has_changed_says_so(panes):
    folder = panes.preparation.settings.documents
    assert texts_of(panes.document("ice.txt"), "//p[@class='changed']") == []
    (folder / "ice.txt").write_text("The river froze in March.", "utf-8")
    content = panes.document("ice.txt")
    assert texts_of(content, "//p[@class='changed']") == ["The file has changed since it was indexed."]
    assert text_of(content, "//*[@class='text']") == "The river froze in January."


def test_nothing_is_opened_after_a_start_that_failed(seed_settings: Settings, visited):
    preparation = Preparation(seed_settings, failure="There is no model.")
    preparation.ended.set()
    for opening in (
        lambda panes: panes.source(visited.conversation, "cite", 1, 0),
        lambda panes: panes.document("a.txt"),
    ):
        with pytest.raises(RagError, match=r"^There is no model\.$"):
            opening(Panes(preparation, read_only=False))


def test_documents_are_listed_as_they_are_sought(seeds):
    documents = seeds.preparation.documents()
    assert len(texts_of(seeds.listed(documents, None), "//tbody/tr")) == 5
    assert texts_of(seeds.listed(documents, "004_"), "//tbody//button") == [
        "004_4d98d33cc253c48d.txt",
        "Remove",
    ]
    read_only = replace(seeds, read_only=True)
    assert texts_of(read_only.listed((Listed("a.txt", "new"),), ""), "//tbody//button") == []


def test_files_are_added_and_can_be_asked(panes, tmp_path):
    paths = sent(tmp_path, {"bread.txt": "Bread was dear in 1871.", "salt.md": "# Salt\n\nSalt was cheap."})
    panes.add(paths)
    assert states(panes) == dict.fromkeys(["bread.txt", "ice.txt", "salt.md", "war.txt"], "indexed")
    assert panes.preparation.state == "4 documents indexed."
    assert [path for path in paths if Path(path).exists()] == []
    answer = panes.preparation.ready().answer("When was bread dear?")
    assert [citation.source for citation in answer.citations] == ["bread.txt"]


def test_a_file_that_cannot_be_added_is_told_of_and_not_kept(panes, tmp_path):
    (path,) = sent(tmp_path, {"ice.txt": "Something else."})
    with pytest.raises(DocumentsError, match=r"^ice\.txt is there already\. Remove it first"):
        panes.add([path])
    assert not Path(path).exists()
    assert text_of(panes.document("ice.txt"), "//*[@class='text']") == "The river froze in January."


@pytest.mark.parametrize("names", [("ice.txt", "bread.txt"), ("bread.txt", "ice.txt")])
def test_one_file_that_cannot_be_added_does_not_keep_others_out(panes, tmp_path, names):
    paths = sent(tmp_path, dict.fromkeys(names, "Bread was dear in 1871."))
    with pytest.raises(DocumentsError, match=r"^ice\.txt is there already"):
        panes.add(paths)
    assert states(panes) == dict.fromkeys(["bread.txt", "ice.txt", "war.txt"], "indexed")
    assert [path for path in paths if Path(path).exists()] == []


def test_documents_are_removed_down_to_none(panes):
    panes.remove("war.txt")
    assert states(panes) == {"ice.txt": "indexed"}
    panes.remove("ice.txt")
    assert states(panes) == {}
    assert panes.preparation.ready().answer("When did the river freeze?").passages == ()


@pytest.mark.parametrize("source", ["../index/current", "none.txt", ""])
def test_nothing_else_is_removed(panes, source):
    with pytest.raises(DocumentsError, match="has no document"):
        panes.remove(source)
    assert (panes.preparation.settings.index / "current").is_file()
    assert states(panes) == {"ice.txt": "indexed", "war.txt": "indexed"}


def test_the_index_is_built_from_nothing(panes):
    before = panes.preparation.ready().generation()
    panes.rebuild()
    assert panes.preparation.ready().generation() != before
    assert panes.preparation.state == "2 documents indexed."
    assert panes.preparation.ready().answer("When did the river freeze?").citations[0].source == "ice.txt"


def test_a_read_only_page_changes_nothing(panes, tmp_path):
    read_only = replace(panes, read_only=True)
    (path,) = sent(tmp_path, {"bread.txt": "Bread was dear."})
    before = panes.preparation.ready().generation()
    for change in (lambda: read_only.add([path]), lambda: read_only.remove("ice.txt"), read_only.rebuild):
        with pytest.raises(SettingsError, match=r"^This page is read-only: its documents can't be changed"):
            change()
    assert states(panes) == {"ice.txt": "indexed", "war.txt": "indexed"}
    assert panes.preparation.ready().generation() == before


def built(preparation: Preparation, **options: bool) -> Any:
    """The page, made in an event loop: Gradio would make some otherwise that nothing closes."""

    import app

    async def make() -> Any:
        return app.page(preparation, **options)

    return asyncio.run(make())


def components(blocks: Any, kind: str) -> dict[str, dict[str, Any]]:
    """The properties of the components of a kind, by what they are called."""
    found = [found["props"] for found in blocks.get_config_file()["components"] if found["type"] == kind]
    return {str(props.get("value") or props.get("label") or props.get("elem_id")): props for props in found}


def handler(blocks: Any, name: str, **fixed: str) -> Any:
    """The function of the page with this name, and these arguments given."""
    found = [found.fn for found in blocks.fns.values() if found.fn is not None]
    return next(
        function
        for function in found
        if getattr(function, "func", function).__name__ == name and getattr(function, "keywords", {}) == fixed
    )


def test_the_page_is_built_without_being_served(seed_settings: Settings):
    preparation = Preparation(seed_settings)
    blocks = built(preparation)
    assert not preparation.running
    assert blocks.title == "Ask the documents"
    assert {"Ask", "Stop", "Rebuild the index", "New", "Delete", "Rename"} <= components(
        blocks, "button"
    ).keys()
    assert components(blocks, "uploadbutton").keys() == {"Add files"}
    (examples,) = components(blocks, "dataset").values()
    assert examples["samples"] == [
        ["Until when did the EU extend its curbs on Syria?"],
        ["Who is the Kremlin spokesman?"],
        [VISIT],
        ["What is the capital of Australia?"],
    ]
    chatbot = components(blocks, "chatbot")["Conversation"]
    assert chatbot["latex_delimiters"] == []
    assert chatbot["sanitize_html"] is True


def test_a_page_over_other_documents_has_no_examples(tmp_path):
    blocks = built(Preparation(resolve(documents=tmp_path, index=tmp_path / "index")))
    assert components(blocks, "dataset") == {}


@pytest.mark.parametrize("read_only", [False, True])
def test_a_read_only_page_has_no_buttons_that_change_documents(seed_settings: Settings, read_only):
    blocks = built(Preparation(seed_settings), read_only=read_only)
    shown = {found["id"]: found["props"].get("visible") for found in blocks.get_config_file()["components"]}
    parents: dict[int, int] = {}

    def walk(node: dict[str, Any]) -> None:
        for child in node.get("children", ()):
            parents[child["id"]] = node["id"]
            walk(child)

    walk(blocks.get_config_file()["layout"])
    for name in ("Add files", "Rebuild the index"):
        (button,) = [
            found["id"]
            for found in blocks.get_config_file()["components"]
            if name in (found["props"].get("value"), found["props"].get("label"))
        ]
        assert shown[parents[button]] is not read_only


@pytest.mark.parametrize(
    ("read_only", "names"),
    [(False, {"answer", "search", "documents", "build"}), (True, {"answer", "search", "documents"})],
)
def test_programs_reach_nothing_of_the_page_but_its_endpoints(seed_settings: Settings, read_only, names):
    blocks = built(Preparation(seed_settings), read_only=read_only)
    assert {found.api_name for found in blocks.fns.values() if found.api_visibility == "public"} == names


def test_a_conversation_that_was_kept_is_shown_again(seeds, visited):
    from gradio import Error

    reopen = handler(built(seeds.preparation), "reopen")
    shown, session, marked, _ = reopen(record(visited.conversation))
    assert (session, marked) == (visited, frozenset())
    assert shown == messages(visited)
    with pytest.raises(Error) as refused:
        reopen("{}")
    assert text_of(refused.value.message) == "This conversation can't be read: it is damaged. Delete it."


def test_a_conversation_is_exported_under_its_title(seed_settings: Settings):
    from gradio import Error

    blocks = built(Preparation(seed_settings))
    session = Session(continued(Conversation(), Turn("Where / <is> it?", DECLINED)))
    file = json.loads(handler(blocks, "export", kind="json")(session))
    assert file == {
        "name": "Where----is--it.json",
        "type": "application/json",
        "text": record(session.conversation),
    }
    file = json.loads(handler(blocks, "export", kind="md")(session))
    assert (file["name"], file["type"]) == ("Where----is--it.md", "text/markdown")
    assert file["text"].startswith("# Where / \\<is\\> it?\n\n## Where / ")
    with pytest.raises(Error, match="This conversation is empty"):
        handler(blocks, "export", kind="md")(Session())


@pytest.mark.server
def test_a_port_that_is_taken_is_one_sentence(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "app.py", "--port", str(port), "--index", str(tmp_path / "index")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    assert done.stderr == f"rag: Port {port} can't be used. Name another: --port N\n"
    assert done.returncode == 1


@pytest.mark.server
def test_index_question_and_page_need_no_network(tmp_path):
    """Everything but loopback is blocked at the socket, in a process of its own."""
    script = textwrap.dedent(
        """
        import ipaddress, socket, sys, urllib.request

        real = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

        def local(host):
            try:
                return host in ("localhost", "") or ipaddress.ip_address(host).is_loopback
            except ValueError:
                return False

        def guarded(function):
            def connect(self, address):
                if self.family in (socket.AF_INET, socket.AF_INET6) and not local(address[0]):
                    print("OUTSIDE", address, flush=True)
                    raise OSError("blocked")
                return function(self, address)
            return connect

        def lookup(host, *rest, **named):
            if host is not None and not local(host):
                print("LOOKUP", host, flush=True)
                raise socket.gaierror("blocked")
            return real[2](host, *rest, **named)

        socket.socket.connect, socket.socket.connect_ex = guarded(real[0]), guarded(real[1])
        socket.getaddrinfo = lookup

        import rag
        report = rag.build(sys.argv[1], index=sys.argv[2])
        print(len(report.added), "added")
        answer = rag.answer("Until when did the EU extend its curbs on Syria?", index=sys.argv[2])
        print(answer.citations[0].quote)

        import app
        preparation = app.Preparation(rag.resolve(documents=sys.argv[1], index=sys.argv[2]))
        blocks, serving = app.page(preparation), rag.settings.resolve_serving()
        added = app.additions(app.Programs(preparation.ready), host=serving.host, login=None)
        _, url, _ = app.launch(blocks, serving, added)
        print("Ask the documents" in urllib.request.urlopen(url).read().decode())
        blocks.close()
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT / "seeds"), str(tmp_path / "index")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )

    lines = done.stdout.splitlines()
    assert lines[0] == "5 added", done.stderr
    assert lines[1] == (
        "The European Union has extended until June 2017 curbs on Syria linked to investment, oil "
        "production and trade."
    )
    assert lines[2] == "True"
    assert not [line for line in lines if line.startswith(("OUTSIDE", "LOOKUP"))]
