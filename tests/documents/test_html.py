import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.documents.parsers import Extract
from rag.documents.parsers.html import read_web_page
from rag.errors import UnreadableError
from tests.support.outline import outline

RIVER = "The river froze in January, and the bridge stood alone for weeks until the thaw came in March."
BREAD = "Bread was dear that winter, and salt was dearer still, so that many went without either of them."


def blocks(body: str) -> list[str]:
    return outline(read_web_page(f"<html><body>{body}</body></html>".encode()))


def page(*, head: str = "", body: str = "") -> bytes:
    main = f"<article><h1>The river</h1><p>{RIVER}</p>{body}<ul><li>{BREAD}</li></ul></article>"
    menu = "<nav><ul><li><a href='/'>Home</a></li><li><a href='/all'>All articles</a></li></ul></nav>"
    foot = "<footer>© 2013 The Paper, updated 5 May 2021. <a href='/'>Imprint</a></footer>"
    return f"<html><head>{head}</head><body>{menu}{main}<script>war()</script>{foot}</body></html>".encode()


def test_a_web_page_is_its_main_text():
    extract = read_web_page(page(head="<title>The river - The Paper</title>"))

    assert extract.title == "The river"
    assert outline(extract) == [
        "heading 1: The river",
        f"paragraph: {RIVER}",
        f"item 1: - {BREAD} <- {RIVER}",
        "furniture: © 2013 The Paper, updated 5 May 2021. Imprint",
    ]


def test_text_is_joined_as_it_is_seen():
    assert blocks(
        "<div>H<sub>2</sub>O \n is <b>co</b>ld,<br>\n and<script>war()</script>\n3.4&nbsp;kg<br><br>of "
        "<i>salt</i></div>dear<p>It froze<sup><a href='#n'>1</a></sup> in <a href='x'>May</a>.</p>"
        "<h2>Bread <a href='#b'>¶</a></h2>"
    ) == [
        "paragraph: H2O is cold,\nand 3.4 kg",
        "paragraph: of salt",
        "paragraph: dear",
        "paragraph: It froze in May.",
        "heading 2: Bread",
    ]


def test_lists_have_their_marks_their_lead_in_and_their_nesting():
    assert blocks(
        "<p>Bring:</p><ul><li>bread<ul><li>dark</li><li><p>white</p><p>or grey</p></li></ul></li>"
        "<li>salt</li></ul>"
        "<h2>Steps</h2><ol start=3><li>Run</li><li value=7>Eat:<pre> a\n  b</pre></li><li>Sleep</li></ol>"
    ) == [
        "paragraph: Bring:",
        "item 1: - bread <- Bring:",
        "item 2: - dark <- - bread",
        "item 2: - white <- - bread",
        "item 2: or grey <- - white",
        "item 1: - salt <- Bring:",
        "heading 2: Steps",
        "item 1: 3. Run",
        "item 1: 7. Eat:",
        "code: a\n b <- 7. Eat:",
        "item 1: 8. Sleep",
    ]


def test_a_definition_is_a_field_of_its_term():
    assert blocks(
        "<dl><dt>Weight</dt><dd>3.4 kg<p>with its cable</p></dd><dt>a</dt><dt>b:</dt><dd>one</dd><dd>two</dd>"
        "<dt>Tools</dt><dd><ul><li>saw</li></ul></dd><dt>Is it cold?</dt><dd>Yes.</dd><dt>none</dt></dl>"
        "<p>War</p>"
    ) == [
        "field: Weight: 3.4 kg <- Weight",
        "field: with its cable <- Weight",
        "field: a, b: one <- a, b",
        "field: two <- a, b",
        "field: Tools",
        "item 1: - saw <- Tools",
        "question: Is it cold?",
        "answer: Yes. <- Is it cold?",
        "field: none",
        "paragraph: War",
    ]


def test_tables_have_the_headers_of_their_cells():
    assert blocks(
        "<table><caption>Discs</caption><thead><tr><th>Model<th>Discs<th>Price</thead>"
        "<tr><td rowspan=2>S10<td><ul><li>felt<li>wool</ul><td>4 €<tr><td>ceramic<br>garnet<td>5 €"
        "<tr><td><table><tr><td>S20</table><td colspan=2>none</table>"
        "<table><tr><th>Weight<td>3.4 kg<tr><th>Bag<td>2 l</table>"
    ) == [
        "caption: Discs",
        "row: Model | Discs | Price",
        "row: S10 | felt; wool | 4 € <- Model & Discs & Price",
        "row: S10 | ceramic garnet | 5 € <- Model & Discs & Price",
        "row: S20 | none <- Model & Discs",
        "field: Weight: 3.4 kg <- Weight",
        "field: Bag: 2 l <- Bag",
    ]


def test_a_cell_that_spans_the_rows_under_it_is_no_header_row():
    assert blocks("<table><tr><th>Year<th>Dead<tr><th rowspan=9>1812<tr><td>5<tr><td>6</table>") == [
        "row: Year | Dead",
        "row: 1812 <- Year",
        "row: 1812 | 5 <- Year & Dead",
        "row: 1812 | 6 <- Year & Dead",
    ]


def test_a_page_that_is_laid_out_by_tables_is_no_table():
    assert blocks(
        f"<table><tr><td>War<td><h1>The river</h1><p>{RIVER}</p>"
        "<table><tr><td>a<td>b<td>c<tr><td>1<td>2<td>3</table></table>"
        "<table role=presentation><tr><td>one<td>two</table>"
    ) == [
        "paragraph: War",
        "heading 1: The river",
        f"paragraph: {RIVER}",
        "row: a | b | c",
        "row: 1 | 2 | 3 <- a & b & c",
        "paragraph: one",
        "paragraph: two",
    ]


def test_questions_have_their_answers():
    assert blocks(
        "<h3><button>Is bread dear?</button></h3><div role=region hidden><p>Yes.</p></div>"
        "<details><summary>Hours</summary>Nine to five<p>On Mondays.</p></details>"
        "<p>Very.</p><h3>Salt</h3><p>No.</p>"
    ) == [
        "question 3: Is bread dear?",
        "answer: Yes. <- Is bread dear?",
        "question: Hours",
        "answer: Nine to five <- Hours",
        "answer: On Mondays. <- Hours",
        "answer: Very. <- Is bread dear?",
        "heading 3: Salt",
        "paragraph: No.",
    ]


def test_all_parts_of_a_page_are_read():
    assert blocks(
        "<p>War</p><aside>Never on asbestos.</aside><blockquote><p>Peace</p></blockquote>"
        "<figure><img><figcaption>The <b>bridge</b></figcaption></figure>"
        "<address>9 Quay Road<br>Tel. <a href='tel:0555'>0555</a></address>"
        "<footer><p>© 2020 The Shop. Call 0555 730.</p>"
        "<p>Write to <a href='mailto:a@b'>a@b</a></p><p><a href='mailto:c@d'>c@d</a></p></footer>"
    ) == [
        "paragraph: War",
        "paragraph: Never on asbestos.",
        "quotation: Peace",
        "caption: The bridge",
        "paragraph: 9 Quay Road\nTel. 0555",
        "paragraph: © 2020 The Shop. Call 0555 730.",
        "paragraph: Write to a@b",
        "paragraph: c@d",
    ]


@pytest.mark.parametrize(
    "menu",
    [
        "<nav>Where to go</nav>",
        "<div role=navigation>Where to go</div>",
        "<ul><li><a href=a>One</a><li><a href=b>Two</a></ul>",
        "<p><a href=a>One</a> | <a href=b>Two</a></p>",
        "<div class='top-nav x'>Go to <a href=a>the first page</a></div>",
        "<footer><p><a href=a>Imprint</a></p></footer>",
        "<div id=cookie-banner>We use cookies. <button>Yes</button></div>",
        "<p hidden>not seen</p><p style='display: none'>nor this</p><span class=sr-only>nor that</span>",
        "<select><option>One</select><template>Two</template><noscript>Three</noscript>",
    ],
)
def test_menus_and_what_is_not_seen_are_left_out(menu):
    body = f"<p>War</p>{menu}<ul><li>Bread</li></ul>"

    assert blocks(body)[:1] == ["paragraph: War"]
    assert blocks(body)[1:] in (["item 1: - Bread"], ["item 1: - Bread <- War"])


@pytest.mark.parametrize(
    "body",
    [
        "<p>These forms exist:</p><ul><li><a href=a>One</a></ul>",
        "<main><h2>Forms</h2><ul><li><a href=a>One</a></ul><p>War</p></main>",
        "<div class=menu><h2>Lunch</h2><p>Soup</p><ul><li>One</ul></div>",
        "<ul><li><a href=a>One</a></ul>",
    ],
)
def test_lists_of_links_that_are_content_are_read(body):
    assert any(line.startswith("item 1: - One") for line in blocks(body))


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("<meta property='article:published_time' content='2017-04-03T10:00:00Z'>", ""),
        (
            "<meta property='article:modified_time' content='2020-01-01'>"
            "<meta property='article:published_time' content='2017-04-03'>",
            "",
        ),
        ("<meta name='date' content='2017-04-03'>", "<p>Posted on 2014-03-04</p>"),
        ("", "<time datetime='2017-04-03'>on Monday</time><p><time datetime='2020-01-01'>later</time></p>"),
        ("", "<meta itemprop='datePublished' content='2017-04-03'>"),
        (
            '<script type="application/ld+json">{"@type": "Article", "datePublished": "2017-04-03"}</script>',
            "",
        ),
    ],
)
def test_a_web_page_has_the_date_that_it_states(head, body):
    assert read_web_page(page(head=head, body=body)).date == "2017-04-03"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("", ""),
        ("", "<p>On 3 March 2019 it thawed. Copyright 2013.</p>"),
        ("", "<h1>Report of 2014-03-04</h1>"),
        ("<meta name='date' content='2017-13-45'>", ""),
        ("<meta name='date' content='2999-01-01'>", ""),
        ("<title>1995</title>", ""),
    ],
)
def test_a_date_that_a_web_page_only_mentions_is_not_its_own(head, body):
    assert read_web_page(page(head=head, body=body)).date is None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"War and bread", "War and bread"),
        (b"<p>War &amp; bread", "War & bread"),
        (b"<?xml version='1.0' encoding='iso-8859-1'?><html><body><p>Caf\xe9</p></body></html>", "Café"),
        (b"<meta charset=windows-1251><p>" + "Мир и война".encode("cp1251"), "Мир и война"),
        ("<meta charset=windows-1252><p>Café".encode(), "Café"),
        ("<p>Frühling €".encode("utf-16"), "Frühling €"),
        (b"<p>W\0a\x01r &#xD800; &#0;", "War \ufffd \ufffd"),
        (b"<nav>War <b>and</b> bread</nav><style>p {}</style><script>war()</script>", "War and bread"),
        (b"<div>" * 300 + b"War", "War"),
        (b"", ""),
        (b"<!-- War -->", ""),
        (b"<script>war()</script>", ""),
    ],
)
def test_a_short_page_is_all_that_is_seen(content, text):
    extract = read_web_page(content)

    assert extract == Extract(text, blocks=extract.blocks)
    assert [line.partition(": ")[2] for line in outline(extract)] == [text] * bool(text)


TAGS = (
    "p div section article header footer aside blockquote ul ol li dl dt dd table caption thead tr td th "
    "h1 h3 details summary figure figcaption pre b span br form address center x-card"
).split()


@given(st.recursive(st.just(""), lambda inner: st.lists(st.tuples(st.sampled_from(TAGS), inner), max_size=4)))
def test_whatever_stands_in_whatever_no_word_is_lost(tree):
    numbers = itertools.count()

    def markup(children) -> str:
        word = f" w{next(numbers)}w "
        return word + "".join(f"<{tag}>{markup(inner)}</{tag}>{markup('')}" for tag, inner in children)

    extract = read_web_page(markup(tree).encode())

    assert outline(extract)
    assert sorted(map(int, re.findall(r"w(\d+)w", extract.text))) == [*range(next(numbers))]


def test_a_web_page_that_is_nested_too_deep():
    with pytest.raises(UnreadableError, match=r"^is nested too deep to be read$"):
        read_web_page(b"<div>" * 3000 + b"War")


def test_a_list_that_is_nested_deeply():
    lines = blocks("<ul><li>x" * 500)

    assert lines[0] == "item 1: - x"
    assert lines[499] == "item 500: - x <- - x"
    assert len(lines) == 500


def test_tables_that_are_nested_deeply_lose_nothing():
    text = read_web_page(b"<table><tr><th>x<td>y" * 200).text

    assert (text.count("x"), text.count("y")) == (200, 200)


def test_cells_that_span_too_much_are_not_repeated_for_ever():
    rows = "<tr><td>y" * 1000
    text = read_web_page(f"<table><tr>{'<td rowspan=65534 colspan=9999>x' * 500}{rows}</table>".encode()).text

    assert text.count("y") == 1000
    assert text.count("x") <= 100_500
