# SPDX-License-Identifier: Apache-2.0
"""URLs that files are fetched from: what is wrong with one, and how it is shown and sent without its secrets. Pure."""

from __future__ import annotations

import base64
from typing import Dict, Tuple
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import url2pathname

SCHEMES = ("http", "https", "file")


def url_fault(url: object) -> str:
    """Return what keeps the URL from being fetched, or nothing."""
    if not isinstance(url, str):
        return "it is no text"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "it has blanks or characters that need %-encoding"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "its host or port can't be read"
    if parts.scheme not in SCHEMES:
        return f"its scheme is {parts.scheme or 'missing'}"
    if parts.scheme == "file":
        return "" if parts.netloc in ("", "localhost") and parts.path else "it names another host, or no file"
    return "" if parts.hostname and port != 0 else "it names no host"


def public(url: str) -> str:
    """Return the URL without user, password, query and fragment: what may be shown."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(unreadable)"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def location_and_headers(url: str) -> Tuple[str, Dict[str, str]]:
    """Return what to open (a file:// URL's path, else the URL without user and password) and the login's header."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return url2pathname(parts.path), {}
    login, _, host = parts.netloc.rpartition("@")
    location = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    if not login:
        return location, {}
    user, _, password = login.partition(":")
    token = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    return location, {"Authorization": f"Basic {token}"}
