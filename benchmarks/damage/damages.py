"""What happens to a file: bytes that change, and valid files with the wrong content."""

from __future__ import annotations

import json
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping, MutableMapping
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

Arrays = dict[str, Any]
WrongContent = Callable[[Path, Random], None]
"""Writes a valid file with the wrong content in place of a sound file."""

GIGABYTES = 1 << 40
"""A label, a size or a number of rows that no memory holds."""
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    7,
    GIGABYTES,
    1 << 80,
    -0.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "text",
    "../../x",
    [],
    {},
    [[]],
    [None],
    {"name": "text"},
    {"name": 3},
    ["a", 1, {}],
    [GIGABYTES],
    "1" * 5000,
)


# --- bytes -------------------------------------------------------------------------------------------


def flip(content: bytes, rng: Random) -> bytes:
    """Change one byte into any other."""
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ rng.randrange(1, 256)]) + content[at + 1 :]


def cut(content: bytes, rng: Random) -> bytes:
    return content[: rng.randrange(1, len(content))]


def insert(content: bytes, rng: Random) -> bytes:
    """Insert a few random bytes, zeros, or a repetition of the file's own bytes."""
    at, size = rng.randrange(len(content)), rng.choice((1, 2, 8, 100, 5000))
    new = rng.choice((rng.randbytes(size), bytes(size), content[at : at + size], b"9" * size, b"\n" * size))
    return content[:at] + new + content[at:]


def empty(content: bytes, rng: Random) -> bytes:  # noqa: ARG001 - as the others
    return b""


BYTES: dict[str, Callable[[bytes, Random], bytes]] = {
    "one byte flipped": flip,
    "cut": cut,
    "bytes inserted": insert,
    "empty": empty,
}
WRONG = "wrong content"
WEIGHTS = {"one byte flipped": 34, "cut": 20, "bytes inserted": 15, "empty": 1, WRONG: 30}
"""How often each damage is drawn."""


# --- arrays ------------------------------------------------------------------------------------------


def wrong_array(array: Any, rng: Random) -> Any:
    """An array that is not what it should be: of another shape or type, or with values that make no sense."""
    floats = array.astype(np.float64) if array.dtype.kind in "biuf" else np.zeros(array.shape)
    changed = floats.copy().reshape(-1)
    if changed.size:
        changed[rng.randrange(changed.size)] = rng.choice(
            (np.nan, np.inf, -np.inf, 1e300, -1, GIGABYTES, 0.5)
        )
    changed = changed.reshape(array.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a value that the array's type does not hold
        same_type = changed.astype(array.dtype) if array.dtype.kind in "biuf" else array
    return rng.choice(
        (
            lambda: changed,
            lambda: same_type,
            lambda: array[:0],
            lambda: array[: len(array) // 2] if array.ndim else array,
            lambda: array.reshape(*array.shape, 1),
            lambda: array.reshape(-1),
            lambda: array.T,
            lambda: np.zeros((len(array) if array.ndim else 1, 0)),
            lambda: np.array(7.0),
            lambda: array.astype(str),
            lambda: array.astype("S3"),
            lambda: array.astype(object),
            lambda: floats.astype(complex),
            lambda: floats.astype("M8[s]"),
            lambda: np.zeros(array.shape, "f4,i4"),
            lambda: np.full(array.shape, GIGABYTES),
            lambda: np.full(array.shape, -1),
            lambda: np.full(array.shape, np.nan),
            lambda: np.full(array.shape, np.inf),
            lambda: np.zeros(array.shape, np.uint64) + np.uint64(2**64 - 1),
            lambda: array.astype(bool),
            lambda: np.full(array.shape, 1e300),
        )
    )()


def npy_bytes(array: Any) -> bytes:
    file = BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=True)
    return file.getvalue()


def odd_header(array: Any, rng: Random) -> bytes:
    """A .npy file whose header claims something else than the file holds."""
    shape = rng.choice(
        (
            f"({GIGABYTES},)",
            f"({GIGABYTES}, {GIGABYTES})",
            "(-1,)",
            "(-5, 4)",
            "(3",
            "(1.5,)",
            f"({10**30},)",
            "[2]",
            "(((((" * 900,
            "(True,)",
            "(0,)",
            f"({array.size * 2},)",
            "('a',)",
            "()",
        )
    )
    descr = rng.choice(
        ("'<f4'", "'<f8'", "'|O'", "'<U9999999'", "'zz'", "[('a', '<f4')]", "'f8,'", "{}", "'<f8(2'")
    )
    order = rng.choice(("False", "True", "3", "'C'"))
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    header = rng.choice((header, header, header, header[:-9], header + "\n  x", "\0" + header, "1L" + header))
    text = header.encode() + b"\n"
    if len(text) < 60_000:
        start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text))
    else:
        start = b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text))
    return start + text + np.ascontiguousarray(array).tobytes()


def wrong_npy(file: Path, rng: Random) -> None:
    array = np.load(file)
    file.write_bytes(odd_header(array, rng) if rng.random() < 0.4 else npy_bytes(wrong_array(array, rng)))


def wrong_npz(file: Path, rng: Random) -> None:
    """An archive without an array, with a wrong one, with two of one name, or that unpacks to gigabytes."""
    with np.load(file) as opened:
        members = {f"{name}.npy": npy_bytes(opened[name]) for name in opened.files}
        arrays: Arrays = {name: opened[name] for name in opened.files}
    name = rng.choice(sorted(arrays))
    what = rng.choice(
        ("array", "array", "array", "missing", "header", "header", "twice", "bomb", "no array", "link")
    )
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    if what == "array":
        members[f"{name}.npy"] = npy_bytes(wrong_array(arrays[name], rng))
    elif what == "missing":
        del members[f"{name}.npy"]
    elif what == "header":
        members[f"{name}.npy"] = odd_header(arrays[name], rng)
    elif what == "no array":
        members[f"{name}.npy"] = rng.choice((b"", b"text", b"\x93NUMPY", rng.randbytes(200)))
    elif what == "link":
        members["../../x.npy"] = members.pop(f"{name}.npy")
    if what == "bomb":
        file.write_bytes(npz_bomb(file.name, members, f"{name}.npy"))
        return
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as archive:
        warnings.simplefilter("ignore")  # of two members of one name
        for member, content in members.items():
            archive.writestr(member, content)
        if what == "twice":
            archive.writestr(f"{name}.npy", npy_bytes(wrong_array(arrays[name], rng)))
    if rng.random() < 0.1:
        _claim(file, rng)


def npz_bomb(archive: str, members: Mapping[str, bytes], bomb: str) -> bytes:
    """An archive in which the member ``bomb`` unpacks to 1.3 GB of zeros."""
    key = archive, bomb, b""
    if key not in _bombs:
        file = BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as opened:
            for member, content in members.items():
                if member == bomb:
                    _write_zeros(opened, member)
                else:
                    opened.writestr(member, content)
        _bombs[key] = file.getvalue()
    return _bombs[key]


def _write_zeros(archive: zipfile.ZipFile, member: str) -> None:
    rows, block = 5 << 26, bytes(1 << 24)
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (rows, 1)})
    with archive.open(member, "w") as file:
        file.write(header.getvalue())
        for _ in range(4 * rows // len(block)):
            file.write(block)


def _claim(file: Path, rng: Random) -> None:
    """Let the directory of an archive claim another size of a member, encryption, or another method."""
    content = bytearray(file.read_bytes())
    entry = content.rfind(b"PK\x01\x02")
    at, value = rng.choice(((24, 0xFFFFFFF0), (24, 5), (20, 0xFFFFFFF0), (8, 1), (10, 99), (10, 12), (42, 3)))
    struct.pack_into("<I" if at >= 20 else "<H", content, entry + at, value)
    file.write_bytes(bytes(content))


# --- plain values ------------------------------------------------------------------------------------


def mutate(tree: Any, rng: Random) -> Any:
    """The same plain values, with one of them removed or replaced by something odd."""
    if not isinstance(tree, dict | list) or not tree or rng.random() < 0.15:
        return rng.choice(ODD_VALUES)
    changed: Any = dict(tree) if isinstance(tree, dict) else list(tree)
    key = rng.choice(sorted(tree)) if isinstance(tree, dict) else rng.randrange(len(tree))
    if rng.random() < 0.2:
        del changed[key]
    else:
        changed[key] = mutate(tree[key], rng)
    return changed


def wrong_json(file: Path, rng: Random) -> None:
    if rng.random() < 0.1:
        file.write_text(
            rng.choice(("[" * 100_000, "9" * 5000, '{"a": ' * 50_000, "null", "[]", '"text"', "1e999"))
        )
        return
    file.write_text(json.dumps(mutate(json.loads(file.read_text()), rng)))


def wrong_yaml(file: Path, rng: Random) -> None:
    import yaml  # type: ignore[import-untyped]

    if rng.random() < 0.3:
        bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
        )
        odd = (
            "[" * 20_000,
            "!!int ''",
            "!!float ''",
            "!!bool x",
            "!!timestamp x",
            "!!python/name:os.system",
            "a: *b",
            "!!set [1]",
            "? {a: 1}\n: 2",
            "1: 2\n3: 4",
            bomb,
            "dataset: !!binary '*'",
            "a: !!int ''\n",
            "- 1\n",
        )
        file.write_text(rng.choice(odd))
        return
    file.write_text(yaml.safe_dump(mutate(yaml.safe_load(file.read_text()), rng)))


def wrong_stored(file: Path, rng: Random) -> None:
    """A checkpoint or model that mlpframe itself writes, with one wrong array or one wrong plain value."""
    from mlpframe.training import checkpoint

    arrays, meta = checkpoint.load(file)
    plain: MutableMapping[str, Any] = dict(meta)
    written: Mapping[str, Any] = plain
    if rng.random() < 0.5:
        name = rng.choice(sorted(arrays))
        if rng.random() < 0.2:
            del arrays[name]
        else:
            arrays[name] = wrong_array(arrays[name], rng)
        arrays = {name: array for name, array in arrays.items() if array.dtype.kind != "O"}
    else:
        written = mutate(plain, rng)
        written = written if isinstance(written, dict) else {"text": str(written)}
    file.unlink()
    checkpoint.save(file, arrays, written)


# --- tables ------------------------------------------------------------------------------------------

TABLES = (
    "a,b,color,late\n",
    "a,b,color,late",
    "late\n1\n0\n",
    "a,late\n1,\n2,\n",
    "a,a,late\n1,2,3\n",
    "1,2,3\n4,5,6\n",
    "a,b,late\n1,2,3,4\n5,6,7,8\n",
    "a,b,late\n1,2\n3\n1,2,3,4,5\n",
    "a,b,late\n" + "".join(f"{i},inf,{i % 2}\n" for i in range(60)),
    "a,b,late\n" + "".join(f"{i},nan,{i % 2}\n" for i in range(60)),
    "a,b,late\n" + "".join(f"{i},{i * i},{i % 2 + (1 << 40 if i == 7 else 0)}\n" for i in range(60)),
    "a,b,late\n" + "".join(f"{i},{'9' * 400},{i % 2}\n" for i in range(60)),
    "a,b,late\n" + "".join(f"{i},{'9' * 25},{'9' * 400}\n" for i in range(60)),
    "a,b,late\n" + "".join(f"{i},1e{i * 9},{i % 2}\n" for i in range(60)),
    "a,b,late\n" + "".join(f"{i},{i},{-i}.5\n" for i in range(60)),
    "a,b,late\n" + "".join(f"{i},9999-99-99,{i % 2}\n" for i in range(60)),
    "a,b,late\n" + "".join(f"{i},{i + 1}-01-01,{i % 2}\n" for i in range(60)),
    "a,b,late\n" + "".join(f"{i},{i % 12 + 1}/31/99999,{i % 2}\n" for i in range(60)),
    "a,b,late\n" + "".join(f"{i},{'x' * 200_000},{i % 2}\n" for i in range(3)),
    "x" * 300_000,
    'a,b,late\n1,"2,3\n4,5,6\n',
    '"a,b,late\n1,2,3\n',
    "a,b,late\n1,2\0,3\n",
    "\ufeff\ufeffa,b\n1,2\n",
    ",,\n1,2,3\n",
    "\n\n\n",
    "a;b;late\n1,5;2;3\n",
    "a,b,late\n" + "é,ü,ß\n" * 20,
    ",".join(f"c{i}" for i in range(4_000)) + "\n" + ",".join("1" * 4_000) + "\n",
)


def wrong_csv(pack: Callable[[bytes], bytes], *, packed: bool) -> WrongContent:
    """A table that cannot be used, or (packed) one that unpacks to gigabytes."""

    def write(file: Path, rng: Random) -> None:
        if packed and rng.random() < 0.05:
            start, line = rng.choice(
                ((b"a,b,late\n", b"1,2,0\n"), (b"", b"0"), (b"a,b,late\n", b"\n"), (b"a,b\n1,", b"2"))
            )
            file.write_bytes(bomb(file.suffix, start, line))
        elif file.suffix == ".zip" and rng.random() < 0.4:
            _odd_zip(file, rng)
        else:
            text = rng.choice(TABLES)
            file.write_bytes(pack(text.encode(rng.choice(("utf-8", "utf-8", "utf-16", "utf-8-sig")))))

    return write


BOMB = 3 << 29
"""The size that a bomb unpacks to."""
_bombs: dict[tuple[str, str | bytes, bytes], bytes] = {}
"""Files that were made before, because making one takes seconds."""


def bomb(suffix: str, start: bytes, line: bytes) -> bytes:
    """A small file that unpacks to 1.6 GB."""
    key = suffix, start, line
    if key not in _bombs:
        _bombs[key] = _packed_bomb(suffix, start, line)
    return _bombs[key]


def _packed_bomb(suffix: str, start: bytes, line: bytes) -> bytes:
    import bz2
    import gzip
    import lzma
    import subprocess

    block = line * ((1 << 24) // len(line))
    file = BytesIO()
    if suffix == ".zip":
        with (
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("t.csv", "w") as member,
        ):
            member.write(start)
            for _ in range(BOMB >> 24):
                member.write(block)
        return file.getvalue()
    if suffix == ".zst":
        part = subprocess.run(["zstd", "-c"], input=block, capture_output=True, check=True).stdout
        first = subprocess.run(["zstd", "-c"], input=start or line, capture_output=True, check=True).stdout
    else:
        pack = {".gz": lambda data: gzip.compress(data, 1), ".bz2": bz2.compress, ".xz": lzma.compress}[
            suffix
        ]
        part, first = pack(block), pack(start or line)
    return first + part * (BOMB >> 24)  # these formats allow packed parts one after the other


def _odd_zip(file: Path, rng: Random) -> None:
    content = zipfile.ZipFile(file).read("table.csv")
    members = rng.choice(
        ({}, {"a.csv": content, "b.csv": content}, {"folder/": b""}, {"../x.csv": content}, {"": b""})
    )
    with zipfile.ZipFile(
        file, "w", rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2))
    ) as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    if members and rng.random() < 0.5:
        _claim(file, rng)


def wrong_parquet(file: Path, rng: Random, *, huge: bool) -> None:
    """A Parquet file without rows or columns, with odd types, or (huge) with 400 million equal rows.

    Such a file is a table like others for ``predict``, which reads any number of rows block by block.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    n = len(table)
    odd: tuple[Callable[[], Any], ...] = (
        lambda: table.slice(0, 0),
        lambda: table.select([]),
        lambda: table.select(["late"]),
        lambda: table.set_column(0, "a", pa.array([[1, 2]] * n)),
        lambda: table.set_column(0, "a", pa.array([{"x": 1}] * n)),
        lambda: table.set_column(0, "a", pa.array([b"\xff"] * n)),
        lambda: table.set_column(0, "a", pa.array([float("inf")] * n)),
        lambda: table.set_column(0, "a", pa.array([None] * n)),
        lambda: table.set_column(0, "a", pa.array([1 << 62] * n, pa.uint64())),
        lambda: table.set_column(0, "a", pa.array(range(n), pa.timestamp("s"))),
        lambda: table.set_column(0, "a", pa.array([1 << 62] * n, pa.int64()).cast(pa.timestamp("ns"))),
        lambda: table.set_column(0, "a", pa.array(range(n), pa.time64("us"))),
        lambda: table.set_column(0, "a", pa.array(range(n), pa.duration("s"))),
        lambda: table.set_column(0, "a", pa.array([10**30] * n, pa.decimal128(38))),
        lambda: table.append_column("a", table["a"]),
        lambda: table.set_column(table.num_columns - 1, "late", pa.array([1 << 40, *[0] * (n - 1)])),
        lambda: table.set_column(table.num_columns - 1, "late", pa.array([-1, *[0] * (n - 1)])),
        lambda: table.set_column(table.num_columns - 1, "late", pa.array([float("nan")] * n)),
        lambda: table.replace_schema_metadata(
            {b"pandas": rng.choice((b"{", b"{}", b"[]", b'{"index_columns": 3}', b"\xff"))}
        ),
        lambda: table.rename_columns(["", *table.column_names[1:]]),
    )
    if huge and rng.random() < 0.03:
        part = pa.table({"a": np.zeros(1 << 20), "late": np.zeros(1 << 20, np.int64)})
        with pq.ParquetWriter(file, part.schema) as writer:
            for _ in range(400):
                writer.write_table(part)
        return
    pq.write_table(rng.choice(odd)(), file)


def wrong_history(file: Path, rng: Random) -> None:
    lines = file.read_text().splitlines()
    line = rng.choice(
        (
            "1,2",
            "1,a,b",
            "x,a,1",
            "9" * 5000 + ",a,1",
            "1,,",
            ",,",
            "1,a,1,2",
            "nan,a,1",
            "1.5,a,1",
            '"',
            "1,a,\0",
            "1,a," + "9" * 200_000,
        )
    )
    lines[rng.randrange(len(lines))] = line
    file.write_text("\n".join(lines))


def wrong_idx(file: Path, rng: Random) -> None:
    content = bytearray(file.read_bytes())
    struct.pack_into(">I", content, rng.choice((0, 4, 8, 12)), rng.choice((0, 0xFFFFFFFF, 0x0D03, 7)))
    file.write_bytes(bytes(content))
