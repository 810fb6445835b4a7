"""The client of a Milvus server, and its errors in a sentence: the only module that imports pymilvus."""

import contextlib
import importlib.util
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rag.errors import IndexFileError, how_to_install
from rag.uris import MilvusAddress

ANSWER_S = 10.0
"""How long a question waits for the server."""

BUILD_S = 300.0

MOST = 1_000
"""How many rows are asked for at once: each chunk comes with all that it is scored by."""

_NOT_CONNECTED, _NO_COLLECTION = 2, 100
"""Codes of Milvus's errors."""

_GRAPH = {"M": 16, "efConstruction": 200}
_ANALYSER = {"tokenizer": "standard"}
"""The text that is searched by words is stemmed already (see `rag.text.analyzer`)."""

SEARCH = {"params": {"ef": 2 * MOST}}
"""How far the graph is searched: up to `MOST` results are those of exact search."""


def is_missing(address: MilvusAddress) -> bool:
    """Whether the address is a file that doesn't exist."""
    return address.in_process and not Path(address.server).exists()


def connected(address: MilvusAddress, *, make_folder: bool = False) -> Any:
    """A client of its own; `IndexFileError` if the server can't be reached or refuses.

    With `make_folder` the folder of a file is created.
    """
    try:
        from pymilvus import MilvusClient
    except ImportError as error:
        raise IndexFileError(f"{address} needs pymilvus. {how_to_install('milvus')}") from error
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # its errors are reported here
    if address.in_process:
        if importlib.util.find_spec("milvus_lite") is None:
            raise IndexFileError(f"{address} needs milvus-lite: pip install milvus-lite")
        for name in ("grpc._server", "milvus_lite"):  # warnings of what milvus-lite lacks
            logging.getLogger(name).setLevel(logging.CRITICAL)
        path = Path(address.server)
        try:
            if make_folder:
                path.parent.mkdir(parents=True, exist_ok=True)
            elif is_missing(address):
                raise IndexFileError(f"No index in {address}. Build it: rag build")
        except OSError as error:
            raise IndexFileError(f"{path} can't be used: {error.strerror}. Name another file.") from error
        with translated(address):
            return MilvusClient(address.server)
    options: dict[str, Any] = {}
    if address.tls:
        options = {"secure": True, "server_name": address.server.rpartition(":")[0]}
        if address.certificate:
            if not Path(address.certificate).is_file():
                raise IndexFileError(f"{address.certificate} can't be read. Check RAG_MILVUS_CERTIFICATE.")
            # Without a certificate of the client's own pymilvus takes the authority's by this name alone.
            options["server_pem_path"] = address.certificate
    with translated(address):
        return MilvusClient(
            f"{'https' if address.tls else 'http'}://{address.server}",
            user=address.user,
            password=address.password,
            timeout=ANSWER_S,
            dedicated=True,
            **options,
        )


@contextlib.contextmanager
def translated(address: MilvusAddress) -> Iterator[None]:
    """The server's errors as `IndexFileError`, with what to do."""
    from grpc import RpcError
    from pymilvus import MilvusException

    try:
        yield
    except (MilvusException, RpcError) as error:
        raise IndexFileError(_user_message(address, error)) from error


def _user_message(address: MilvusAddress, error: BaseException) -> str:
    """The error for a user: the server's own words are for those who run it."""
    from grpc import RpcError, StatusCode

    cause: BaseException | None = error
    while not isinstance(cause, RpcError) and cause is not None:
        # pymilvus raises some from themselves
        cause = None if cause.__cause__ is cause else cause.__cause__
    if getattr(error, "code", None) == _NO_COLLECTION:
        return f"{address} was rebuilt just now. Ask again."
    if address.in_process:
        return (
            f"{address} can't be used ({_message(error)}). Only one process can open it: end the other, or "
            "name another file."
        )
    server = f"The Milvus server at {address.server}"
    code = None if cause is None else cause.code()
    if code == StatusCode.UNAUTHENTICATED:
        who = f"{address.user} with this password" if address.user else "a client without user and password"
        return f"{server} refuses {who}. Check RAG_MILVUS_USER and RAG_MILVUS_PASSWORD."
    if code == StatusCode.DEADLINE_EXCEEDED:
        return f"{server} doesn't answer (a question waits {ANSWER_S:g} s). Ask again, or look at its load."
    if code == StatusCode.UNAVAILABLE or getattr(error, "code", None) == _NOT_CONNECTED:
        return f"{server} can't be reached. Check that it runs, its address, and " + (
            "whether RAG_MILVUS_CERTIFICATE is that of the authority that signed its certificate."
            if address.tls
            else "whether it requires TLS (milvus+tls://)."
        )
    return f"{server} failed: {_message(error)}. Ask again, or look at its log."


def _message(error: BaseException) -> str:
    """The server's own message, on one line."""
    line = " ".join(str(getattr(error, "message", error)).split())
    return "".join(filter(str.isprintable, line))[:300].rstrip(".")


def query(
    client: Any,
    collection: str,
    condition: str,
    fields: Sequence[str],
    *,
    seen: Literal["Strong", "Session", "Eventually"] = "Session",
) -> list[dict[str, Any]]:
    """The rows that meet the condition, few enough for one answer.

    `seen` is what all processes wrote until now ("Strong"), what this one wrote ("Session"), or what was
    written a while ago ("Eventually"): each is faster than the one before, by the server's delay.
    """
    rows = client.query(
        collection, filter=condition, output_fields=[*fields], consistency_level=seen, timeout=ANSWER_S
    )
    return [*map(dict, rows)]


def all_rows(client: Any, collection: str, condition: str, fields: Sequence[str]) -> list[dict[str, Any]]:
    """All rows that meet the condition, however many."""
    rows: list[dict[str, Any]] = []
    with contextlib.closing(
        client.query_iterator(
            collection, filter=condition, output_fields=[*fields], batch_size=MOST, timeout=BUILD_S
        )
    ) as iterator:
        while batch := iterator.next():
            rows.extend(map(dict, batch))
    return rows


def count(client: Any, collection: str, condition: str) -> int:
    """The number of rows that meet the condition."""
    (row,) = client.query(collection, filter=condition, output_fields=["count(*)"], timeout=ANSWER_S)
    return int(row["count(*)"])


def described(client: Any, name: str) -> dict[str, Any] | None:
    """The collection of this name or alias; None where there is none."""
    from pymilvus import MilvusException

    try:
        return dict(client.describe_collection(name, timeout=ANSWER_S))
    except MilvusException as error:
        if error.code == _NO_COLLECTION:
            return None
        raise


def create(client: Any, name: str, fields: Mapping[str, str], dimension: int, *, graph: bool) -> None:
    """Create an empty collection of rows with an `id`, a `vector`, and these fields, ready to be used.

    Each field is a `number`, a `flag`, a `text`, or `stems`, which can be searched by words. With `graph` the
    vectors can be searched.
    """
    from pymilvus import DataType, Function, FunctionType, MilvusClient

    text = {"datatype": DataType.VARCHAR, "max_length": 65_535}
    kinds: dict[str, dict[str, Any]] = {
        "number": {"datatype": DataType.INT64},
        "flag": {"datatype": DataType.BOOL},
        "text": text,
        "stems": text | {"enable_analyzer": True, "enable_match": True, "analyzer_params": _ANALYSER},
    }
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
    indexes = client.prepare_index_params()
    kind = {"index_type": "HNSW", "params": _GRAPH} if graph else {"index_type": "FLAT"}
    indexes.add_index("vector", metric_type="IP", **kind)
    for field, of_kind in fields.items():
        schema.add_field(field, **kinds[of_kind])
        if of_kind == "stems":
            schema.add_field("keywords", DataType.SPARSE_FLOAT_VECTOR)
            schema.add_function(
                Function(
                    name="bm25",
                    function_type=FunctionType.BM25,
                    input_field_names=[field],
                    output_field_names=["keywords"],
                )
            )
            indexes.add_index("keywords", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
    client.create_collection(
        name, schema=schema, index_params=indexes, consistency_level="Session", timeout=BUILD_S
    )
