"""The page's parts as plain functions; the page itself is clicked in tests/browser."""

import socket
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace

import pytest

from rag.settings import Settings, resolve
from rag.types import Answer, Citation, Passage
from tests.conftest import ROOT

app = pytest.importorskip("app")

PASSAGE = Passage("a/<b>.txt", 100, 141, "Before it. The <b>quote</b> *is* here. Af", 0.9)
CITATION = Citation(1, "a/<b>.txt", 111, 137, "The <b>quote</b> *is* here")
ANSWER = Answer(
    question="What?",
    text="“The <b>quote</b> *is* here” [1]",
    short=None,
    citations=(CITATION,),
    passages=(PASSAGE,),
    abstained=None,
    model="queued",
    timings={},
    confidence=0.9,
)


def ready(settings: Settings):
    preparation = app.Preparation(settings)
    preparation.start()
    assert preparation.ended.wait(120)
    return preparation


def test_text_is_shown_as_text():
    assert app.as_text("<b>*x*</b> $1\r\né") == ("&#60;b&#62;&#42;x&#42;&#60;&#47;b&#62; &#36;1<br>é")


def test_a_citation_is_highlighted_in_its_surroundings():
    shown = app.citation_html(CITATION, PASSAGE)

    assert "characters 111&#45;137</summary>" in shown
    assert (
        "Before it&#46; <mark>The &#60;b&#62;quote&#60;&#47;b&#62; &#42;is&#42; here</mark>&#46; Af" in shown
    )
    assert "a&#47;&#60;b&#62;&#46;txt" in shown
    assert "<b>" not in shown


def test_a_question_shows_passages_then_text_then_the_quote_in_its_place(seed_settings: Settings):
    question = "Who is scheduled to visit Moscow early next week?"
    preparation = ready(seed_settings)
    assert preparation.state == "5 documents indexed."
    grown = list(app.converse(question, (), preparation))

    assert "Passages found: 5" in grown[0][0]
    assert [answer for _, answer in grown[:-1]] == [None] * (len(grown) - 1)
    assert "<mark>" not in grown[-2][0]
    content, answer = grown[-1]
    assert "<mark>Rex Tillerson is scheduled to visit Moscow early next week&#46;</mark>" in content
    assert content.startswith('<p class="short">Rex Tillerson</p><p class="quote">“Rex Tillerson is ')
    quoted = "“Rex Tillerson is scheduled to visit Moscow early next week.” [1]"
    assert (answer.question, answer.text) == (question, f"Rex Tillerson\n{quoted}")


def test_the_models_own_words_stand_before_the_quote_and_notes_after_the_sources():
    answer = replace(
        ANSWER,
        text=f"So <it> is: {ANSWER.text}",
        taken_as="What? <Why>?",
        left_out=1,
        dropped=2,
    )
    content = app.answer_html(answer)
    assert content.startswith('<p class="quote">So &#60;it&#62; is&#58; “The &#60;b&#62;quote')
    assert content.endswith(
        '<p class="note">Taken to mean&#58; What&#63; &#60;Why&#62;&#63;</p>'
        '<p class="note">Not shown to the language model&#44; for want of room&#58; 1 sentence&#46;</p>'
        '<p class="note">Left out&#44; as its quote doesn&#39;t bear it out&#58; '
        "2 sentences of the model&#39;s&#46;</p>"
    )


def test_an_abstention_offers_the_nearest_passages(seed_settings: Settings):
    *_, (content, _) = app.converse("What is the capital of Australia?", (), ready(seed_settings))

    assert 'class="declined">The documents don&#39;t say&#46;</p>' in content
    assert "Nearest passages: 5" in content


def test_what_is_wrong_is_one_sentence_on_the_page(tmp_path):
    preparation = ready(resolve(documents=tmp_path / "none", index=tmp_path / "index"))
    *_, (content, answer) = app.converse("What?", (), preparation)

    assert preparation.failure == (
        f"The documents folder {tmp_path / 'none'} doesn't exist. Name another: --documents DIR"
    )
    assert "doesn&#39;t exist&#46; Name another" in content
    assert answer is None


def test_a_date_limits_what_is_asked(seed_settings: Settings):
    preparation = ready(seed_settings)
    *_, (content, answer) = app.converse("Who is the Kremlin spokesman?", (), preparation, since="2016")
    assert answer.abstained == "no document has a date in that range"
    *_, (content, answer) = app.converse("Who is the Kremlin spokesman?", (), preparation, until="May")
    assert "until is May&#59; give a date such as 2016" in content
    assert answer is None


def test_the_index_follows_the_folder_and_an_old_quote_says_that_it_changed(tmp_path):
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "one.txt").write_text("The river froze in January.", "utf-8")
    preparation = ready(resolve(documents=tmp_path / "seeds", index=tmp_path / "index"))
    *_, (content, answer) = app.converse("When did the river freeze?", (), preparation)
    assert "changed since" not in content
    chat = [{"role": "user", "content": "When?"}, {"role": "assistant", "content": content}]
    assert app.as_it_stands(chat, ((1, answer),), preparation.engine) == chat

    (tmp_path / "seeds" / "one.txt").write_text("The river froze in March.", "utf-8")
    threading.Thread(target=preparation.watch, daemon=True).start()
    before = preparation.engine.generation()
    for _ in range(300):
        if preparation.engine.generation() != before and preparation.state == "1 document indexed.":
            break
        time.sleep(0.1)
    assert preparation.state == "1 document indexed."
    (_, then) = app.as_it_stands(chat, ((1, answer),), preparation.engine)
    assert "changed since: this is what it said" in then["content"]
    assert "<mark>The river froze in January&#46;</mark>" in then["content"]
    *_, (content, _) = app.converse("When did the river freeze?", (), preparation)
    assert "<mark>The river froze in March&#46;</mark>" in content


def test_an_overlong_question_is_declined_with_the_reason(seed_settings: Settings):
    *_, (content, _) = app.converse("x" * 100_000, (), ready(seed_settings))

    assert "The question has 100&#44;000 characters&#59; at most 4&#44;000 can be asked" in content


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
            timeout=120,
            check=False,
        )

    assert done.stderr == f"rag: Port {port} can't be used. Name another: --port N\n"
    assert done.returncode == 1


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
        blocks = app.page(app.Preparation(rag.resolve(documents=sys.argv[1], index=sys.argv[2])))
        _, url, _ = app.launch(blocks, port=None)
        print("Ask the documents" in urllib.request.urlopen(url).read().decode())
        blocks.close()
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(ROOT / "seeds"), str(tmp_path / "index")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
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
