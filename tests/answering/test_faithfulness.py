"""The check's own set: sentences that a quote bears out, and sentences that it doesn't."""

import pytest

from rag import wiring
from rag.answering.faithfulness import unsupported
from rag.models.embedder import Embedder
from rag.settings import Settings

CURBS = (
    "The European Union has extended until June 2017 curbs on Syria linked to investment, oil production "
    "and trade."
)
VISIT = "Rex Tillerson is scheduled to visit Moscow early next week."
RAID = "The raid on Tuesday killed 86 people, among them 30 children, and injured 546 in Khan Sheikhoun."
DENIAL = "Russia denied that its planes had bombed the town."
GROWTH = "The economy of Norland grew by 3.5 percent in 2014, after it had shrunk by 2 percent in 2013."
MINE = "The salt mine at Wieliczka was opened in the 13th century and closed in 1996."
MAYORS = "Anna Berg, 45, was elected mayor of Rouen before Karl Lund, 60, became mayor of Caen."
PERHAPS = "The minister may resign if parliament rejects the budget, a spokesman said."
SOME = "Some of the twelve workers returned before noon on 3 May."
NEVER = "The bridge was never finished because money ran out."
MONEY = "The city paid $5 million for the land and €2 million for the house."

SUPPORTED = [
    (CURBS, "The European Union has extended curbs on Syria."),
    (CURBS, "The EU has extended until June 2017 its curbs on Syria."),
    (VISIT, "Rex Tillerson is scheduled to visit Moscow."),
    (VISIT, "Tillerson is scheduled to visit Moscow early next week."),
    (RAID, "The raid killed 86 people."),
    (RAID, "The raid on Tuesday killed 86 people, among them 30 children."),
    (DENIAL, "Russia denied that its planes had bombed the town."),
    (DENIAL, "Russia denied its planes bombed the town."),
    (GROWTH, "The economy of Norland grew by 3.5 % in 2014."),
    (GROWTH, "Norland grew by 3.5 percent in 2014."),
    (MINE, "The salt mine was opened in the 13th century."),
    (MINE, "The mine at Wieliczka was opened in the 13th century and closed in 1996."),
    (MAYORS, "Anna Berg was elected mayor of Rouen."),
    (MAYORS, "Karl Lund became mayor of Caen."),
    (PERHAPS, PERHAPS),
    (SOME, "Some of the 12 workers returned before noon."),
    (NEVER, "The bridge was not finished because money ran out."),
    (MONEY, "The city paid $5 million for the land."),
    (CURBS, "The European Union extended curbs on Syria."),
    (RAID, "The raid injured 546 in Khan Sheikhoun."),
    (DENIAL, "Russia denied that its planes bombed the town."),
    (GROWTH, "The economy had shrunk by 2 percent in 2013."),
    (MINE, "The mine was opened in the 13th century."),
    (MINE, "The salt mine closed in 1996."),
    (SOME, "Some workers returned before noon."),
]
LOST = [
    (CURBS, "They are linked to investment, oil production and trade."),
    (CURBS, "The curbs on Syria have been extended until June 2017."),
    (CURBS, "The EU has extended the curbs until June 2017."),
    (VISIT, "Tillerson is scheduled to visit Moscow next week."),
    (VISIT, "Tillerson's visit to Moscow is scheduled early next week."),
    (RAID, "86 people were killed, among them 30 children."),
    (RAID, "On Tuesday 546 were injured in Khan Sheikhoun."),
    (GROWTH, "In 2014 the economy of Norland grew."),
    (GROWTH, "Norland's economy grew by 3.5 % in 2014."),
    (MINE, "Wieliczka's salt mine closed in 1996."),
    (PERHAPS, "The minister may resign if parliament rejects the budget."),
]
"""Sentences that are borne out as well, and that the check drops all the same: what its strictness costs."""

UNSUPPORTED = [
    # numbers
    (CURBS, "The EU has extended until June 2018 its curbs on Syria."),
    (RAID, "The raid killed 546 people, among them 86 children."),
    (RAID, "The raid killed 87 people."),
    (RAID, "The raid killed eighty people."),
    (GROWTH, "The economy of Norland grew by 35 percent in 2014."),
    (GROWTH, "The economy of Norland grew by 3.5 million in 2014."),
    (GROWTH, "The economy of Norland grew by 3.5 in 2014."),
    (GROWTH, "The economy of Norland grew in 2013 by 3.5 percent."),
    (GROWTH, "The economy of Norland grew by 2 percent."),
    (MINE, "The mine was opened in the 12th century."),
    (MINE, "The salt mine at Wieliczka was opened in 1996."),
    (MINE, "In 1996 the salt mine was opened."),
    (MAYORS, "Anna Berg is 60."),
    (MAYORS, "Karl Lund is 45."),
    (SOME, "Some of the thirteen workers returned."),
    (MONEY, "The city paid €5 million for the land."),
    (MONEY, "The city paid $5 billion for the land."),
    (MONEY, "The city paid $5 for the land."),
    (MONEY, "The city paid $2 million for the house."),
    ("Three hundred died in the flood.", "Three died in the flood."),
    ("It was -5 degrees in Rouen.", "It was 5 degrees in Rouen."),
    ("Prices rose to 5 percent.", "Prices rose by 5 percent."),
    # dates
    (CURBS, "The EU has extended until July 2017 its curbs on Syria."),
    (RAID, "The raid on Wednesday killed 86 people."),
    (SOME, "Some workers returned on 4 May."),
    (VISIT, "Tillerson is scheduled to visit Moscow late next month."),
    (MINE, "The salt mine was closed in the 13th century and opened in 1996."),
    (MINE, "The salt mine was closed in the 13th century."),
    # names
    (CURBS, "The United Nations has extended curbs on Syria."),
    (CURBS, "The European Union has extended curbs on Iraq."),
    (VISIT, "Sergei Lavrov is scheduled to visit Moscow."),
    (VISIT, "Moscow is scheduled to visit Rex Tillerson."),
    (RAID, "The raid killed 86 people in Aleppo."),
    (MAYORS, "Karl Lund was elected mayor of Rouen."),
    (MAYORS, "Karl Lund was elected before Anna Berg."),
    (MAYORS, "Anna Lund was elected mayor."),
    (MAYORS, "Anna Berg became mayor of Caen."),
    (GROWTH, "The economy of Sudland grew in 2014."),
    ("In Syria, Iraq said, attacked the Islamic State.", "ISIS attacked."),
    ("He was born near Paris.", "He was born in Paris."),
    # who did it to whom
    ("Germany was defeated by France.", "Germany defeated France."),
    ("Israel blamed Iran.", "Israel was blamed by Iran."),
    ("The army was killed by the rebels.", "The army killed the rebels."),
    ("Assad was bombed; rebels used chlorine.", "Assad used chlorine."),
    ("The mother survived and the father died.", "The mother died."),
    ("Peskov is the spokesman of the president.", "Peskov is the president."),
    # negation
    (CURBS, "The EU has not extended curbs on Syria."),
    (DENIAL, "Russia said that its planes had bombed the town."),
    (DENIAL, "Russia's planes had bombed the town."),
    (NEVER, "The bridge was finished."),
    (MINE, "The mine wasn’t closed in 1996."),
    (GROWTH, "The economy of Norland never grew."),
    (SOME, "None of the workers returned before noon."),
    ("Russia used chlorine but not sarin.", "Russia did not use chlorine."),
    ("He was elected president, not senator.", "He was not elected president."),
    ("Russia said that it was not ready.", "It was not Russia."),
    ("Birds rarely fly.", "Birds fly."),
    ("Few birds can fly.", "Birds can fly."),
    ("It is false that he resigned.", "He resigned."),
    ("He pretended he resigned.", "He resigned."),
    # doubt, and words that narrow
    (VISIT, "Rex Tillerson visited Moscow early."),
    (PERHAPS, "The minister resigns."),
    (PERHAPS, "Parliament rejects the budget."),
    (SOME, "All the workers returned before noon."),
    (SOME, "Every worker returned."),
    ("The talks must end the war.", "The talks ended the war."),
    ("He will resign.", "He resigned."),
    ("He is the former president.", "He is the president."),
    ("He is vice president.", "He is president."),
    ("The vaccine is less safe.", "The vaccine is safe."),
    ("The rebels say the army used chlorine.", "The rebels used chlorine."),
    ("The rebels say the army used chlorine.", "The army used chlorine."),
    # small words turned round
    (SOME, "Some of the workers returned after noon."),
    (GROWTH, "The economy grew in 2014 before it had shrunk in 2013."),
    (CURBS, "The European Union has extended since June 2017 curbs on Syria."),
    (GROWTH, "In 2014 the economy of Norland had shrunk by 3.5 percent."),
    ("He left after the war.", "He left during the war."),
    ("He won despite the rain.", "He won because of the rain."),
    # meaning
    (CURBS, "The European Union has lifted curbs on Syria."),
    (CURBS, "The European Union has extended until June 2017 its thanks to Syria."),
    (VISIT, "Rex Tillerson is scheduled to leave Moscow."),
    (RAID, "The raid saved 86 people."),
    (RAID, "Rebels carried out the raid that killed 86 people."),
    (MINE, "The salt mine at Wieliczka is a museum."),
    (MAYORS, "Anna Berg was dismissed as mayor of Rouen."),
    (NEVER, "The bridge was never begun."),
    (NEVER, "The bridge was never finished because workers left."),
    (DENIAL, "Russia denied that its troops had entered the town."),
    (PERHAPS, "The minister may win if parliament rejects the budget."),
    (MONEY, "The city sold the land for $5 million."),
    # nothing
    (RAID, "He did."),
    (NEVER, "No, he did not."),
    (RAID, "The document tells of a report."),
    (RAID, "???"),
]


@pytest.fixture(scope="module")
def similarity(seed_settings: Settings):
    embedder: Embedder = wiring.retriever(seed_settings).embedder

    def cosine(first: str, second: str) -> float:
        one, other = embedder.embed([first, second])
        return float(one @ other)

    return cosine


@pytest.mark.parametrize(("quote", "claim"), SUPPORTED)
def test_a_sentence_that_its_quote_bears_out_is_kept(quote, claim, similarity):
    assert unsupported(claim, quote, similarity) is None


@pytest.mark.xfail(strict=True, reason="the check rather drops a sentence than lets a wrong one pass")
@pytest.mark.parametrize(("quote", "claim"), LOST)
def test_a_sentence_that_is_put_otherwise_is_kept(quote, claim, similarity):
    assert unsupported(claim, quote, similarity) is None


@pytest.mark.parametrize(("quote", "claim"), UNSUPPORTED)
def test_a_sentence_that_its_quote_does_not_bear_out_is_not(quote, claim, similarity):
    assert unsupported(claim, quote, similarity) is not None


@pytest.mark.parametrize(
    ("claim", "cosine", "reason"),
    [
        ("The raid killed 30 people.", 1.0, "words put together that the quote keeps apart"),
        ("The raid killed 87 people.", 1.0, "a number or a name that the quote doesn't have"),
        ("The raid in Homs killed 86 people.", 1.0, "a number or a name that the quote doesn't have"),
        ("The raid killed no people.", 1.0, "a negation that differs from the quote's"),
        ("The raid killed all 86 people.", 1.0, "more certain than the quote"),
        ("The raid wounded 86 people.", 1.0, "a word that the quote doesn't have"),
        ("The raid killed 86 people.", 0.29, "another meaning than the quote's"),
        ("The raid killed 86 people.", 0.3, None),
        ("...", 1.0, "nothing that the quote says"),
    ],
)
def test_the_reason(claim, cosine, reason):
    assert unsupported(claim, RAID, lambda *_: cosine) == reason
