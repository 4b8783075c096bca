# SPDX-License-Identifier: Apache-2.0
# What the modules use of ansible-core, which has no annotations.

from collections.abc import Sequence
from typing import Any, NoReturn

class AnsibleModule:
    params: dict[str, Any]
    check_mode: bool
    tmpdir: str

    def __init__(self, argument_spec: dict[str, Any], **rules: Any) -> None: ...
    def exit_json(self, **answer: Any) -> NoReturn: ...
    def fail_json(self, msg: str, **answer: Any) -> NoReturn: ...
    def run_command(
        self, args: Sequence[str], *, data: str | None = None, cwd: str | None = None
    ) -> tuple[int, str, str]: ...
    def warn(self, warning: str) -> None: ...

def missing_required_lib(library: str, reason: str | None = None, url: str | None = None) -> str: ...
