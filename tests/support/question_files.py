"""Files of questions and documents, as evaluations read them."""

import gzip
import json
from pathlib import Path

DOCUMENTS = {
    "france.txt": "Normandy is a region of France. Its capital is Rouen.",
    "salt.txt": "Salt is mined in Wieliczka. The mine was opened in the 13th century.",
}


def write_rows(path: Path, *rows: object) -> None:
    """Write JSON Lines, compressed where the name ends with .gz; its folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
