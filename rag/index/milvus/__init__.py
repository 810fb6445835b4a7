"""The index in Milvus, for folders that outgrow one machine (see `rag.index.base`)."""

from rag.index.milvus.collections import exists
from rag.index.milvus.index import MilvusIndex
from rag.index.milvus.writer import MilvusWriter, writing

__all__ = ["MilvusIndex", "MilvusWriter", "exists", "writing"]
