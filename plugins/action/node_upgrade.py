# SPDX-License-Identifier: Apache-2.0
"""Control side of the module node_upgrade: has the node take the step, and writes it into the campaign's record.

The record says that a node leaves service before it does, and that it is back after it is.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from telechat_runtime.upgrade import history as told
from telechat_runtime.upgrade.record import Record

# How long a call stays on the node, well within any time limit of a connection.
_WAIT_SECONDS = 20
_RETRY_SECONDS = 5
_OUTCOMES = {"done": told.DONE, "rolled-back": told.ROLLED_BACK, "failed": told.FAILED, "give-back": told.SKIPPED}
# Of the control side alone.
_OWN = ("record", "after", "logs", "outcome", "timeout")

_display = Display()


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._vars = task_vars or {}
        self._host = str(self._vars["inventory_hostname"])
        arguments = dict(self._task.args)
        own = {name: arguments.pop(name, None) for name in _OWN}
        step = arguments["step"]
        if self._task.check_mode or not own["record"]:
            return self._ask(arguments)
        record = Record(Path(own["record"]))
        if step == "drain":
            record.add("out", host=self._host)
        try:
            result = self._wait(arguments, own) if step == "wait" else self._ask(arguments)
        except AnsibleConnectionFailure:
            if step != "failed":
                raise
            # It can't be told; the operator can.
            result = {"changed": False, "msg": "it gives no answer"}
        if result.get("claimed"):
            # Left as it is: it belongs to somebody else's upgrade.
            record.add("outcome", host=self._host, outcome=told.REFUSED, reason=result["msg"])
            return {**result, "failed": step not in ("drain", "failed")}
        if step == "failed" and result.get("failed"):
            # The node can't keep it; the record can.
            result = {"changed": False, "msg": f"the node could not note it: {result.get('msg')}"}
        if not result.get("failed"):
            self._note(record, step, arguments, own, result)
        return result

    def _note(
        self, record: Record, step: str, arguments: dict[str, Any], own: dict[str, Any], result: dict[str, Any]
    ) -> None:
        states = ["draining"] if step == "drain" else []
        state = (result.get("upgrade") or {}).get("state")
        for name in dict.fromkeys([*states, *([state] if state else [])]):
            record.add("state", host=self._host, state=name)
        if step not in _OUTCOMES:
            return
        outcome = own["outcome"] or _OUTCOMES[step]
        values = {name: own[name] for name in ("after", "logs") if own[name]}
        record.add("outcome", host=self._host, outcome=outcome, reason=arguments.get("reason", ""), **values)
        if "service" in result and result["service"] is None:
            record.add("back", host=self._host)
        record.write_report()

    def _wait(self, arguments: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
        """Ask until no job holds the node, or the time is over."""
        until = time.monotonic() + float(own["timeout"])
        waited_for = None
        while True:
            left = until - time.monotonic()
            try:
                result = self._ask({**arguments, "wait": max(0, min(_WAIT_SECONDS, left))})
            except AnsibleConnectionFailure:
                if left <= 0:
                    raise
                time.sleep(_RETRY_SECONDS)
                continue
            job = result.get("job")
            if result.get("failed") or job is None or left <= 0:
                return result
            if job != waited_for:
                _display.display(f"{self._host}: waits for job {job}, {left:.0f} s at most")
                waited_for = job

    def _ask(self, arguments: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="node_upgrade", module_args=arguments, task_vars=self._vars
        )
        return answer
