# SPDX-License-Identifier: Apache-2.0
"""Self-extracting ``.run`` files whose header treats options as Huawei's packages do.

The header is derived from the installed makeself's own. It differs in how it reads its options:

- an option it does not know is the installer's, and so is everything after it;
- ``--quiet`` holds for both layers, ``--check`` verifies the archive and then asks the installer;
- ``--extract=<path>`` is there.

And it unpacks into a folder whose name is not taken: a POSIX sh has no ``$RANDOM``, and a folder that a killed run left
behind would stop the process that comes to have the same id.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

HEADER = Path("/usr/share/makeself/makeself-header.sh")

# (what stands in makeself's header, what stands there instead). The header is a shell here-document, hence \$.
_SUBSTITUTIONS = (
    (
        '    -*)\n\techo Unrecognized flag : "\\$1" >&2\n\tMS_Help\n\texit 1\n\t;;\n',
        '    -*)\n\tcase " \\$* " in *" --quiet "*) quiet=y; noprogress=y;; esac\n\tbreak ;;\n',
    ),
    (
        "    -q | --quiet)\n\tquiet=y\n\tnoprogress=y\n\tshift\n\t;;\n",
        '    -q | --quiet)\n\tquiet=y\n\tnoprogress=y\n\tscriptargs="\\$scriptargs --quiet"\n\tshift\n\t;;\n',
    ),
    (
        '    --check)\n\tMS_Check "\\$0" y\n\texit 0\n\t;;\n',
        (
            '    --check)\n\tMS_Check "\\$0" n\n\tSETUP_NOCHECK=1\n\tquiet=y\n\tnoprogress=y\n'
            '\tscriptargs="\\$scriptargs --check"\n\tshift\n\t;;\n'
            '    --extract=*)\n\tkeep=y\n\ttargetdir="\\${1#--extract=}"\n\tshift\n\t;;\n'
        ),
    ),
    ('\ttmpdir="\\$TMPROOT/selfgz\\$\\$\\$RANDOM"\n', '\ttmpdir=\\`mktemp -u "\\$TMPROOT/selfgzXXXXXXXX"\\`\n'),
)


class MakeselfError(Exception):
    """makeself is missing, is not the one we know, or failed."""


def derive_header(original: str, size_kb: int) -> str:
    """Return the header for our packages; MakeselfError when makeself's own is not as expected.

    ``size_kb``: the unpacked size it states, which makeself would else measure in the file system's blocks.
    """
    text = original
    for old, new in _SUBSTITUTIONS:
        if text.count(old) != 1:
            first = old.strip().splitlines()[0]
            raise MakeselfError(
                f"{HEADER}: expected exactly one {first!r} case as makeself 2.4.5 has it, found {text.count(old)}. "
                "Install that version, or adapt lab/vendor/makeself.py."
            )
        text = text.replace(old, new)
    return f"USIZE={size_kb}\n{text}"


def pack(folder: Path, run_file: Path, *, label: str, epoch: int) -> None:
    """Make ``run_file`` of the folder, whose ``install.sh`` it runs. The same folder gives the same bytes.

    Raises MakeselfError with makeself's own words.
    """
    if shutil.which("makeself") is None or not HEADER.is_file():
        raise MakeselfError("makeself is missing: it builds the .run packages. Install it (apt-get install makeself).")
    header = folder.with_name(folder.name + ".header")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    header.write_text(derive_header(HEADER.read_text(encoding="utf-8"), size // 1024 + 1), encoding="utf-8")
    owner = f"--sort=name --owner=0 --group=0 --numeric-owner --mtime=@{epoch}"
    # Relative names: makeself writes its own command line into the archive.
    argv = ["makeself", "--quiet", "--sha256", "--nomd5", "--nocrc", "--nox11", "--tar-quietly"]
    argv += ["--export-conf", "--complevel", "1", "--tar-extra", owner, "--packaging-date", str(epoch)]
    argv += ["--header", f"./{header.name}", f"./{folder.name}", f"./{run_file.name}", label, "./install.sh"]
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC", "GZIP": "-n"}
    result = subprocess.run(argv, cwd=folder.parent, env=environment, capture_output=True, text=True, check=False)
    built = folder.parent / run_file.name
    if result.returncode != 0 or not built.is_file():
        raise MakeselfError(
            f"makeself ended with {result.returncode}: {result.stderr.strip() or result.stdout.strip()}"
        )
    header.unlink()
    built.chmod(0o644)
    if built != run_file:
        shutil.move(built, run_file)
