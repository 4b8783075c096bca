# SPDX-License-Identifier: Apache-2.0
"""Small files read and replaced as a whole."""

import json
import os


def read_text(path):
    """Return a file's text, or None when there is none."""
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_text(path, text, mode=0o644):
    """Replace a file; a reader sees the old or the new text, never half of one."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = "{}.{}".format(path, os.getpid())
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(temporary, mode)
    os.replace(temporary, path)


def append_line(path, line, mode=0o640):
    """Append one line to a log file, making it when it is missing."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, mode)
    with os.fdopen(descriptor, "a", encoding="utf-8") as stream:
        stream.write(line + "\n")


def read_json(path):
    """Return a JSON file's value, or None when there is no file."""
    text = read_text(path)
    return None if text is None else json.loads(text)


def write_json(path, value):
    """Replace a JSON file."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_pairs(path):
    """Return the key=value lines of a file as a dict; empty when there is no file."""
    lines = (read_text(path) or "").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def remove(path):
    """Remove a file that may not be there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
