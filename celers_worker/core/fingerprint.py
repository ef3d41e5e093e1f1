"""Fingerprints of failures: the same for errors that differ only in ids, numbers and addresses."""

from __future__ import annotations

import hashlib
import re

#: So much of a message tells what went wrong; the rest is data.
LONGEST = 300

#: In their order: what is longer goes before what it consists of.
_VARIABLE = (
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<uuid>"),
    (re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.-]+\b"), "<email>"),
    (re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"<>)]+"), "<url>"),
    (
        re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?"),
        "<time>",
    ),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "<date>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<ip>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "<hex>"),
    (re.compile(r"\b(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,}\b"), "<hex>"),
    (re.compile(r"'(?:[^'\\]|\\.){0,200}'|\"(?:[^\"\\]|\\.){0,200}\""), "<text>"),
    (re.compile(r"(?<![A-Za-z_])[-+]?\d+(?:[.,_]\d+)*(?:[eE][-+]?\d+)?"), "<n>"),
)


def normalised(message: str) -> str:
    """The first line of *message* with a mark for each part that differs from task to task."""
    lines = message.strip().splitlines()
    text = lines[0][:LONGEST] if lines else ""
    for pattern, mark in _VARIABLE:
        text = pattern.sub(mark, text)
    return " ".join(text.split())


def fingerprint(handler: str, error_type: str, message: str) -> str:
    """Twelve letters that stand for a kind of failure of a handler."""
    content = "\0".join((handler, error_type, normalised(message)))
    return hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:12]
