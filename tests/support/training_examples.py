"""A few questions with candidates, from which a reader learns in seconds."""

from rag.training.examples import Candidate, Example

PLACES = {"Rhine": "Chur", "Danube": "Donau", "Elbe": "Bohemia", "Seine": "Burgundy", "Thames": "Kemble"}


CANDIDATES = tuple(Candidate(f"The {river} rises in {place}.", "") for river, place in PLACES.items())


EXAMPLES = [
    Example(
        "rivers",
        False,
        f"Where does the {river} rise?",
        True,
        CANDIDATES,
        (number,),
        (len(f"The {river} rises in "), len(f"The {river} rises in {place}")),
    )
    for number, (river, place) in enumerate(PLACES.items())
] + [Example("rivers", False, f"Who swam in the {river}?", False, CANDIDATES, ()) for river in PLACES]
