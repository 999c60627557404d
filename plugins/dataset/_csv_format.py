"""Recognizes the separator, the number marks and the encoding of a CSV file from the file's beginning."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlpframe.api import UsageError

from ._packed import open_table

SAMPLE_BYTES = 256 << 10
"""The number of bytes at the file's beginning from which the format is recognized."""
SEPARATORS = ",;\t|"
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
"""The byte-order marks at the beginning of a file, and the encodings that they mark."""
COMMA = re.compile(r"[-+]?\d*,\d+|[-+]?\d{1,3}(\.\d{3})+(,\d+)?|[-+]?\d+")
"""Matches a number that may have a decimal comma and points between thousands."""
THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?|[-+]?\d+(\.\d+)?")
"""A number with commas between thousands, or without."""


@dataclass(frozen=True)
class CSVFormat:
    """The separator, the number marks and the character encoding of a CSV file; ``None``: not known."""

    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    charset: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The arguments with which ``pandas.read_csv`` reads a file of this format."""
        return {
            "sep": self.separator,
            "decimal": self.decimal,
            "thousands": self.thousands,
            "encoding": self.charset,
            "skipinitialspace": True,
        }


def recognize(path: Path, given: CSVFormat) -> tuple[CSVFormat, list[str]]:
    """Recognize the parts of a file's format that ``given`` leaves open, and read the names of the columns.

    Returns the whole format, and the names in the file's first line.

    Raises:
        UsageError: the file is empty, or does not begin with text of a known encoding.
    """
    with open_table(path) as file:
        start = file.read(SAMPLE_BYTES)
    if not start.strip():
        raise UsageError(f"{path} is empty; expected a line with the names of the columns")
    charset = given.charset or _charset(start, path)
    text = start.decode(charset, errors="replace")
    if len(start) == SAMPLE_BYTES:
        text = text[: text.rfind("\n")]
    try:
        separator = given.separator or max(SEPARATORS, key=lambda mark: len(_lines(text, mark, 1)[0]))
        names, *lines = _lines(text, separator, 1000)
    except csv.Error as error:  # such as a field that is longer than the module's limit
        raise UsageError(f"{path} cannot be read as CSV: {error}") from error
    decimal, thousands = _marks(lines, separator)
    found = CSVFormat(
        separator,
        given.decimal or decimal,
        given.thousands or (None if given.decimal else thousands),
        charset,
    )
    return found, names


def _charset(start: bytes, path: Path) -> str:
    for mark, name in MARKS:
        if start.startswith(mark):
            return name
    if b"\0" in start:
        raise UsageError(f"{path} is not a CSV file: it has bytes that are not text")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)  # accepts half a character at the end
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _lines(text: str, separator: str, most: int) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    lines = []
    for line in reader:
        if line:
            lines.append(line)
        if len(lines) > most:
            break
    return lines or [[]]


def _marks(lines: Sequence[Sequence[str]], separator: str) -> tuple[str, str | None]:
    """The decimal mark and the thousands mark of the numbers in these lines.

    A mark is recognized from a column only if, with this mark, all fields of the column are numbers.
    """
    columns = list(zip(*(line for line in lines if len(line) == len(lines[0])), strict=True)) if lines else []
    decimal, thousands = ".", None
    for column in columns:
        fields = [field.strip() for field in column if field.strip()]
        if not any("," in field for field in fields):
            continue
        if separator != "," and all(COMMA.fullmatch(field) for field in fields):
            decimal = ","
            if any("." in field for field in fields):
                thousands = "."
        elif separator == "," and all(THOUSANDS.fullmatch(field) for field in fields):
            thousands = ","
    return decimal, thousands
