"""Compress trigger arguments for Airflow's database: MySQL stores 65,535 bytes of them, encrypted. No I/O."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any
from uuid import UUID

#: JSON up to this length stays readable.
READABLE = 2_000

#: Toloka's operations have random ids, which cannot be compressed; as bytes, they are half as long.
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: The placeholder for a UUID. JSON escapes it, so that it is unambiguous.
_MARK = "\0"


def pack(value: Any) -> str | None:
    """Return a JSON value as a short text; None: it is short enough without packing.

    :param value: any JSON value.
    """
    text = json.dumps(value, separators=(",", ":"))
    if len(text) <= READABLE:
        return None
    ids = b"".join(UUID(id_).bytes for id_ in _UUID.findall(text))
    return base64.b85encode(zlib.compress(_UUID.sub(_MARK, text).encode(), 9) + ids).decode()


def unpack(packed: str) -> Any:
    """Return the value that :func:`pack` has packed.

    :raises ValueError: the text is not packed.
    """
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(base64.b85decode(packed)).decode()
        ids = reader.unused_data
        uuids = (str(UUID(bytes=ids[start : start + 16])) for start in range(0, len(ids), 16))
        return json.loads(re.sub(_MARK, lambda _: next(uuids), text))
    except (zlib.error, StopIteration) as error:
        raise ValueError(f"The packed arguments cannot be read: {error}") from None
