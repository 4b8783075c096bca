# SPDX-License-Identifier: Apache-2.0
"""Control side of the module ascend_hdk: starts a server's steps, then asks for their progress and shows it.

The server takes the steps by itself (module_utils/hdk/run.py). A call waits on the server until there is something new,
so a step of ten minutes costs some dozens of round trips, and a lost link or a killed control side costs nothing.
"""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

# How long a call stays on the server: short at first, as the first steps of a plan often are; then at most 20 s, well
# within any time limit of a connection.
_FIRST_WAIT_SECONDS = 2
_LONGEST_WAIT_SECONDS = 20
_RETRY_SECONDS = 5

_display = Display()


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        self._host = str(task_vars["inventory_hostname"])
        self._shown: set[str] = set()
        run = self._task.args.get("run", "")
        # A run that was started can be lost sight of before it is asked after for the first time.
        started = self._ask_patiently({"run": run, "progress": []}, 0, task_vars) if run else self._ask(task_vars)
        if self._task.check_mode or not self._task.args.get("follow", True):
            return started
        return self._follow(started, task_vars)

    def _follow(self, result: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Ask until no run goes on; the last answer has the outcome."""
        wait = _FIRST_WAIT_SECONDS
        while self._tell(result).get("run"):
            result = self._ask_patiently(result, wait, task_vars)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
        return result

    def _tell(self, result: dict[str, Any]) -> dict[str, Any]:
        """Show the progress that is new, a line each."""
        for line in result.get("progress", []):
            if line not in self._shown:
                _display.display(f"{self._host}: {line}")
                self._shown.add(line)
        return result

    def _ask_patiently(self, last: dict[str, Any], wait: int, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Ask what came after the last answer, again for a while when the server can't be reached.

        Raises AnsibleConnectionFailure.
        """
        patience = float(self._task.args.get("patience", 0))
        until: float | None = None
        while True:
            try:
                result = self._ask(task_vars, run=last["run"], told=last["progress"], wait=wait)
            except AnsibleConnectionFailure as error:
                if until is None:
                    until = time.monotonic() + patience
                    reason = " ".join(str(error).split())
                    _display.display(f"{self._host}: no connection; its steps need none; trying again ({reason})")
                if time.monotonic() > until:
                    raise AnsibleConnectionFailure(
                        f"{self._host} gives no answer for {patience:.0f} s: {error}. If it has power its steps go on;"
                        " when it is back, run the playbook again: it takes up from there."
                    ) from error
                time.sleep(_RETRY_SECONDS)
                continue
            if until is not None:
                _display.display(f"{self._host}: connected again")
            return result

    def _ask(self, task_vars: dict[str, Any], **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="ascend_hdk", module_args={**self._task.args, **arguments}, task_vars=task_vars
        )
        return answer
