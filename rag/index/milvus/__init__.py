"""The index in Milvus, for folders that outgrow one machine (see `rag.index.base`)."""
