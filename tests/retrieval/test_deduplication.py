from rag.index.base import StoredChunk
from rag.retrieval.deduplication import ScoredChunk, newest_versions, without_copies
from rag.types import Passage

RULES = (
    "The shed is open to members from April to October and every boat stands on a rack of its own. "
    "The winch may be used by two persons together, never alone, and wet sails hang under the gallery. "
    "The yearly rent of a rack is {rent} euros and is due on the first of April."
)


def stored(number: int, text: str, *, source: str | None = None, group: int | None = None) -> ScoredChunk:
    source = source or f"{number}.txt"
    chunk = StoredChunk(number, number, source, 0, len(text), text, (), b"", (), group or number)
    return ScoredChunk(chunk, 1.0)


def kept(*found: ScoredChunk) -> list[int]:
    return [one.chunk.id for one in without_copies(found)]


def test_of_chunks_that_say_the_same_the_first_stays():
    old = RULES.format(rent=58)
    assert kept(stored(1, old), stored(2, old.upper()), stored(3, "Bread and salt.")) == [1, 3]
    assert kept(stored(2, f"{old} It is so."), stored(1, old)) == [2]


def test_what_has_another_number_is_another_version():
    assert kept(stored(1, RULES.format(rent=58)), stored(2, RULES.format(rent=72))) == [1, 2]
    assert kept(stored(1, RULES.format(rent="1,058")), stored(2, RULES.format(rent="1,085"))) == [1, 2]


def test_what_only_has_a_number_less_or_more_is_a_copy():
    assert kept(stored(1, RULES.format(rent=58)), stored(2, f"{RULES.format(rent=58)} Page 3.")) == [1]
    assert kept(stored(1, RULES.format(rent=58)), stored(2, RULES.format(rent="no"))) == [1]


def test_near_duplicate_documents_are_cut_at_other_places():
    first, second = "The war went on in the north", "and peace came over the river at last"
    whole = f"{first} {second}"
    assert kept(stored(1, whole), stored(2, second)) == [1, 2]
    assert kept(stored(1, whole, group=7), stored(2, second, group=7)) == [1]
    assert kept(stored(1, whole, source="a.txt", group=7), stored(2, second, source="a.txt", group=7)) == [
        1,
        2,
    ]
    assert kept(stored(1, f"{whole} 5", group=7), stored(2, f"{second} 6", group=7)) == [1, 2]


def passage(
    rent: str, *, source: str = "rules.txt", date: str | None = None, title: str | None = None
) -> Passage:
    text = RULES.format(rent=rent)
    return Passage(source, 0, len(text), text, 1.0, date=date, title=title)


def test_the_newest_version_is_the_one_of_the_last_date():
    old, new = passage("58", date="2019-04-01"), passage("72", date="2023-04-01")
    other = Passage("war.txt", 0, 4, "War.", 1.0, date="2024-01-01")
    assert newest_versions([old, other, new]) == {2}
    assert newest_versions([new, old]) == {0}


def test_a_version_is_dated_by_its_name_or_title_too():
    by_name = [passage("72", source="rules-2023.txt"), passage("58", source="rules_2019.txt")]
    assert newest_versions(by_name) == {0}
    by_title = [passage("58", title="Rules of 2019"), passage("72", title="Rules of 2023")]
    assert newest_versions(by_title) == {1}
    assert newest_versions([passage("58", date="2019-04-01"), passage("72", source="rules-2023.txt")]) == {1}


def test_there_is_no_newest_version_of_one_or_of_undated_ones():
    dated = passage("72", date="2023-04-01")
    assert newest_versions([]) == frozenset()
    assert newest_versions([dated]) == frozenset()
    assert newest_versions([dated, passage("58")]) == frozenset()
    assert newest_versions([dated, passage("58", date="2023-04-01")]) == frozenset()
