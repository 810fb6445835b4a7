"""Haystack: a folder → a FAISS index, with chunks of 800 characters: python FILE DOCUMENTS INDEX MODEL."""

import json
import re
import sys
import time
from pathlib import Path

from haystack.components.converters import TextFileToDocument
from haystack.components.preprocessors import RecursiveDocumentSplitter
from haystack_integrations.components.embedders.sentence_transformers import (
    SentenceTransformersDocumentEmbedder,
)
from haystack_integrations.document_stores.faiss import FAISSDocumentStore

documents, index, model = sys.argv[1:]
began = time.perf_counter()
read = TextFileToDocument().run(sources=sorted(Path(documents).iterdir()))["documents"]
separators = ["\n\n", "\n", ". ", " "]  # its own sentences would need a download
splitter = RecursiveDocumentSplitter(
    split_length=800, split_overlap=0, split_unit="char", separators=separators
)
embedder = SentenceTransformersDocumentEmbedder(model=model, progress_bar=False)
for part in (splitter, embedder):
    if hasattr(part, "warm_up"):
        part.warm_up()
pieces = splitter.run(documents=read)["documents"]
embedded = embedder.run(documents=pieces)["documents"]
store = FAISSDocumentStore(index_path=index, embedding_dim=384)
store.write_documents(embedded)
store.save(index)
seconds = time.perf_counter() - began
peak = int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({"seconds": seconds, "peak_mib": peak, "chunks": len(pieces)}))
