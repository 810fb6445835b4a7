"""LlamaIndex: a folder → a FAISS index, with chunks of 800 characters: python FILE DOCUMENTS INDEX MODEL."""

import json
import re
import sys
import time
from pathlib import Path

import faiss
from llama_index.core import Settings, SimpleDirectoryReader, StorageContext, VectorStoreIndex
from llama_index.core.node_parser import SentenceSplitter
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.vector_stores.faiss import FaissVectorStore

documents, index, model = sys.argv[1:]
Settings.llm = None
began = time.perf_counter()
read = SimpleDirectoryReader(documents).load_data()
splitter = SentenceSplitter(chunk_size=800, chunk_overlap=0, tokenizer=list)  # so that it counts characters
embedder = HuggingFaceEmbedding(model_name=model, device="cpu")
storage = StorageContext.from_defaults(vector_store=FaissVectorStore(faiss.IndexFlatIP(384)))
nodes = splitter.get_nodes_from_documents(read)
made = VectorStoreIndex(nodes, storage_context=storage, embed_model=embedder)
made.storage_context.persist(index)
seconds = time.perf_counter() - began
peak = int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({"seconds": seconds, "peak_mib": peak, "chunks": len(nodes)}))
