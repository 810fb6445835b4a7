"""The index in Milvus, for folders that outgrow one machine (see `rag.index`)."""

from rag.milvus.collections import exists
from rag.milvus.reading import MilvusIndex
from rag.milvus.writer import MilvusWriter, writing

__all__ = ["MilvusIndex", "MilvusWriter", "exists", "writing"]
