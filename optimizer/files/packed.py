"""Files that other programs have packed: gzip is opened, other packers are named."""

from __future__ import annotations

import gzip
import io
import zlib

from optimizer.errors import Finding

_GZIP = b"\x1f\x8b"
_OTHERS = {b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PAR1": "Parquet"}


def unpacked(data: bytes, file: str, limit: int) -> bytes | Finding:
    """The bytes inside a gzip file, of which there are at most ``limit``; data that is not packed as it stands;
    otherwise what is wrong with it."""
    for mark, packer in _OTHERS.items():
        if data.startswith(mark):
            return Finding(f"is packed as {packer}", file, 1, 1, "unpack it, or pack it by gzip")
    if not data.startswith(_GZIP):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            inside = packed.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        return Finding(f"cannot be unpacked: {error}", file, 1, 1, "the gzip file is cut off or broken: fetch it again")
    if len(inside) > limit:
        return Finding(f"is larger than {limit >> 20} MiB when unpacked", file)
    return inside
