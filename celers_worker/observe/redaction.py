"""What must not be read in a log: the secrets that this process knows, and passwords of any URL."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote_plus

from celers_worker.config.url import HIDDEN, secrets_of

#: So short a secret is none, and hiding it would make the log unreadable.
_SHORTEST = 4
_IN_URL = re.compile(r"(?<=://)([^\s/@:\"']*):([^\s/\"']+)@")

#: The longest first. Never changed, but replaced: handlers log from their threads meanwhile.
_known: tuple[str, ...] = ()


def hide_secrets_of(url: str) -> None:
    """From now on hide what is secret in *url*, however it is written."""
    global _known
    found = set(_known)
    for secret in secrets_of(url):
        for form in {secret, unquote_plus(secret)}:
            if len(form) >= _SHORTEST:
                for shown in (form, repr(form)[1:-1]):
                    found |= {shown, json.dumps(shown)[1:-1], _readable_json(shown)}
    _known = tuple(sorted(found, key=len, reverse=True))


def redacted(text: str) -> str:
    """*text* with ``***`` for every secret."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return _IN_URL.sub(rf"\1:{HIDDEN}@", text) if "://" in text else text


def _readable_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
