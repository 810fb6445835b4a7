import contextlib

Extraction = contextlib.nullcontext
