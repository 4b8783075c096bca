# SPDX-License-Identifier: Apache-2.0
"""A stand-in for `telechat-run`: it notes how it was called, and fails where it is told to."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Dict, List

from telechat_runtime.upgrade.jobs import JobCommands

_PROGRAM = """#!{python} -SE
import json, sys
with open({calls!r}, "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
for word, (code, said) in {failures!r}.items():
    if word in sys.argv:
        sys.stderr.write(said)
        sys.exit(code)
print(json.dumps({{"nodes": {nodes!r}}}) if "--json" in sys.argv else "all is well")
"""


class StandIn:
    """Stands in for the Python that runs `telechat_runtime`; its jobs run on the nodes n0 and n1."""

    def __init__(self, folder: Path, **commands: Any) -> None:
        self._folder = folder
        self.commands = JobCommands(
            **{"python": str(folder / "python"), "inventory": ("hosts.yml",), "group": "ascend", **commands}
        )
        self.fails({})

    def fails(self, failures: Dict[str, Any]) -> None:
        """Fail from now on where a call has such a word: word → exit code and stderr."""
        program = self._folder / "python"
        words = {"calls": str(self._folder / "calls"), "failures": failures, "nodes": {"n0": {}, "n1": {}}}
        program.write_text(_PROGRAM.format(python=sys.executable, **words), encoding="utf-8")
        program.chmod(0o755)

    def calls(self) -> List[List[str]]:
        """Return the words of each call so far."""
        path = self._folder / "calls"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
