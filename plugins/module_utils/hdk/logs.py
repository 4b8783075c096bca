# SPDX-License-Identifier: Apache-2.0
"""Everything that tells why driver or firmware fail on this host, as one small archive. Changes nothing."""

from __future__ import annotations

import glob
import io
import os
import stat
import tarfile
import time
from typing import Iterator, List, Tuple

from ansible.module_utils.command_result import Run

# Logs of the vendor, of our own runs, of DKMS, and what is installed. None of them holds a secret.
FILES = (
    "var/log/ascend_seclog/*",
    "var/log/hotreset_status.log",
    "root/log/makeself/makeself.log",
    "var/log/ascend-hdk/*",
    "var/lib/dkms/davinci_ascend/**/make.log",
    "var/lib/ascend-hdk/record.json",
    "run/ascend-hdk/run.json",
    "usr/local/Ascend/*/version.info",
    "etc/ascend_install.info",
    "etc/os-release",
)
COMMANDS = {
    "dmesg": ["dmesg"],
    "journal-kernel": ["journalctl", "--no-pager", "--dmesg", "--lines=2000"],
    "lspci": ["lspci", "-nn", "-d", "19e5:"],
    "npu-smi-info": ["npu-smi", "info"],
    "dkms-status": ["dkms", "status"],
    "uname": ["uname", "-a"],
    "df": ["df", "-h"],
}
# The end of a log is what tells; newest files first until the archive is full.
MOST_BYTES_A_FILE = 1024 * 1024
MOST_BYTES = 16 * 1024 * 1024


def archive(run: Run, root: str = "/") -> Tuple[bytes, List[str]]:
    """Return a tar.gz of the files' ends and the commands' answers, and the names in it."""
    sink, names, left = io.BytesIO(), [], MOST_BYTES
    with tarfile.open(fileobj=sink, mode="w:gz") as tar:
        for name, content, changed in [*_answers(run), *_files(root)]:
            if len(content) <= left:
                member = tarfile.TarInfo(name)
                member.size, member.mtime, member.mode = len(content), changed, 0o600
                tar.addfile(member, io.BytesIO(content))
                names.append(name)
                left -= len(content)
    return sink.getvalue(), names


def _files(root: str) -> Iterator[Tuple[str, bytes, int]]:
    found = {path for pattern in FILES for path in glob.glob(os.path.join(root, pattern), recursive=True)}
    for path in sorted(found, key=_changed, reverse=True):
        try:
            # No pipes and no devices; a link is what it leads to, unless that is here under its own name.
            if stat.S_ISREG(os.stat(path).st_mode) and not (os.path.islink(path) and os.path.realpath(path) in found):
                yield os.path.relpath(path, root), _end_of(path), int(_changed(path))
        except OSError:
            continue  # it has gone meanwhile


def _answers(run: Run) -> Iterator[Tuple[str, bytes, int]]:
    for name, argv in COMMANDS.items():
        answer = run(argv)
        text = "$ {}\n{}{}\nexit code {}\n".format(" ".join(argv), answer.stdout, answer.stderr, answer.rc)
        yield f"commands/{name}.txt", text.encode("utf-8", "replace")[-MOST_BYTES_A_FILE:], int(time.time())


def _end_of(path: str) -> bytes:
    with open(path, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - MOST_BYTES_A_FILE))
        return stream.read(MOST_BYTES_A_FILE)


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
