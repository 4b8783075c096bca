# SPDX-License-Identifier: Apache-2.0
"""Keep the bytecode of what Python imports from zip archives.

Every Python on a lab's host loads this. Ansible sends a module and all that it imports as an archive of sources, so
that each task compiles dozens of files. Fifty servers do that side by side; fifty hosts on two cores can't.
"""

# ruff: noqa: INP001 - copied into the hosts, not a package
# ruff: noqa: PTH105, PTH108, PTH123 - pathlib would cost every start of Python 5 ms
import _imp
import marshal
import os
import zipimport

FOLDER = "/var/cache/zip-bytecode"
# Tells these hashes from those of other uses.
_KEY = 0x7A6970

# Where zipimport turns source into code.
_compile = zipimport._compile_source  # type: ignore[attr-defined]  # noqa: SLF001


def compiled(pathname: str, source: bytes) -> object:
    """Return a file's code, compiled at its first import and kept where that is allowed."""
    path = f"{FOLDER}/{_imp.source_hash(_KEY, source).hex()}"
    try:
        with open(path, "rb") as file:
            return marshal.loads(file.read())  # noqa: S302 - written below, in a folder of root's
    except OSError:
        code = _compile(pathname, source)
    _keep(path, marshal.dumps(code))
    return code


def _keep(path: str, content: bytes) -> None:
    part = f"{path}.{os.getpid()}"
    try:
        file = open(part, "wb")  # noqa: SIM115 - closed below
    except OSError:
        return
    try:
        with file:
            file.write(content)
        os.replace(part, path)
    except OSError:
        os.unlink(part)


zipimport._compile_source = compiled  # type: ignore[attr-defined]  # noqa: SLF001
