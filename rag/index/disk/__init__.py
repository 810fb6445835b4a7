"""An index in a folder: SQLite and FAISS."""
