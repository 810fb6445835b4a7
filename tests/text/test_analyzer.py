import sqlite3

from rag.index.disk.schema import KEYWORDS
from rag.text.analyzer import MAX_TERMS, stem, stems, terms, words


def test_words_are_in_lower_case_without_accents_and_in_order():
    assert words("The U.S. Navy's 2nd fleet, naïve—ÄRGER!") == [
        *("the", "u", "s", "navy", "s", "2nd", "fleet", "naive", "arger")
    ]
    assert words("snake_case e\u0301te\u0301 Ⅳ") == ["snake", "case", "ete", "iv"]
    assert words(" ?!…\0\n") == []


def test_terms_are_the_distinct_content_words():
    assert terms("Who is the Kremlin spokesman, the spokesman of the Kremlin?") == ("kremlin", "spokesman")


def test_terms_of_stop_words_alone_are_all_words():
    assert terms("Who was he, and who are you?") == ("who", "was", "he", "and", "are", "you")
    assert terms("?") == ()


def test_terms_are_cut():
    assert terms(" ".join(f"w{n}" for n in range(100))) == tuple(f"w{n}" for n in range(MAX_TERMS))


def test_stems():
    assert [stem(word) for word in ("denied", "denies", "running", "2015", "日本")] == [
        *("deni", "deni", "run", "2015", "日本")
    ]
    assert stems("He denied. They denies!") == ["he", "deni", "thei", "deni"]
    assert stems("") == []


def test_stems_of_short_words_are_those_of_keyword_search():
    short = ["s", "as", "us", "is", "5s", "øs", "by", "iy", "war", "wars"]
    store = sqlite3.connect(":memory:")
    store.execute(KEYWORDS)
    store.execute("CREATE VIRTUAL TABLE vocabulary USING fts5vocab('keywords', 'instance')")
    store.executemany("INSERT INTO keywords (rowid, text) VALUES (?, ?)", enumerate(short))

    rows = store.execute("SELECT term FROM vocabulary ORDER BY doc").fetchall()

    assert [stem(word) for word in short] == [term for (term,) in rows]
    store.close()
