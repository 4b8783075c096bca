# SPDX-License-Identifier: Apache-2.0
"""What happens between the control side and its nodes, for --verbose; costs nothing while nobody listens.

Secrets never get out of here: values of variables whose names say so are masked in every line, wherever they stand.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, List, Mapping, Optional, Sequence, Set

from telechat_runtime.redaction import MASK, is_secret

Listener = Callable[[str, str], None]
# A shorter value would mask half of every line, and is no secret.
_SHORTEST_SECRET = 4
_listener: Optional[Listener] = None
_secrets: Set[str] = set()
_lock = threading.Lock()


def listen(listener: Optional[Listener]) -> None:
    """Hand every line from now on, with the area that it is about, to a listener; None ends that."""
    global _listener  # noqa: PLW0603 - one log for the process, as with logging itself
    _listener = listener
    if listener is None:
        with _lock:
            _secrets.clear()


def is_on() -> bool:
    """Return whether anybody listens."""
    return _listener is not None


def note(area: str, text: str, *values: object) -> None:
    """Log a line: `text % values`, secrets masked."""
    if _listener is not None:
        _listener(area, without_secrets(text % values if values else text))


def hide(document: Any) -> None:
    """Learn the secrets of a JSON document: values below a name that means one, at any depth."""
    if _listener is not None:
        found = [text for value in _secret_values(document) for text in (value, *value.splitlines())]
        with _lock:
            _secrets.update(text for text in found if len(text) >= _SHORTEST_SECRET)


def without_secrets(text: str) -> str:
    """Return the text with every known secret masked."""
    with _lock:
        known = sorted(_secrets, key=len, reverse=True)
    for secret in known:
        text = text.replace(secret, MASK)
    return text


def _secret_values(document: Any) -> List[str]:
    if isinstance(document, Mapping):
        found: List[str] = []
        for name, value in document.items():
            if _means_a_secret(str(name)):
                found += _texts(value)
            else:
                found += _secret_values(value)
        return found
    if isinstance(document, Sequence) and not isinstance(document, (str, bytes)):
        return [text for value in document for text in _secret_values(value)]
    return []


def _means_a_secret(name: str) -> bool:
    # Ansible calls the password of a connection _pass too. Where a key lies is what one looks for in this log.
    return (is_secret(name) or name.endswith("_pass")) and not name.endswith("_file")


def _texts(value: Any) -> List[str]:
    if isinstance(value, Mapping):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [text for inner in value for text in _texts(inner)]
    return [str(value)] if value is not None else []
