# SPDX-License-Identifier: Apache-2.0
"""Reboots a server in the one boot that owes the reboot, and waits until a command succeeds in another boot.

ansible.builtin.reboot fails when somebody else's reboot comes while it looks around, or when systemd goes before its
answer has arrived. Here only the kernel's boot id counts: whoever ends the boot, it is over. One that is over at the
first look is left alone, as somebody may be at work in the next.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

_FIRST_DELAY_SECONDS = 1
_LONGEST_DELAY_SECONDS = 10
# One that was asked for a moment ago by somebody else is refused, too, until systemd has begun with that.
_REFUSAL_SECONDS = 60
_REFUSED = 75
_BOOT = re.compile(r"^boot ([0-9a-f-]{36})\s*$", re.MULTILINE)
# In the boot that is to end it asks for the reboot, each time anew, as a lost connection does not tell whether it was
# asked for. A system that is stopping or has lost its bus needs no asking. In another boot it tests.
_SCRIPT = """boot=$(cat /proc/sys/kernel/random/boot_id) && echo "boot $boot" || exit
if [ "$boot" != {boot_id} ]; then {test}
elif systemctl reboot; then :
else case $(systemctl is-system-running) in running|degraded) exit {refused};; esac
fi"""


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "boot_id": {"type": "str", "required": True},
                "test_command": {"type": "str", "required": True},
                "timeout": {"type": "int", "required": True},
            }
        )
        if self._task.check_mode:
            return {"changed": True, "rebooted": False}
        return self._reboot(arguments["boot_id"], arguments["test_command"], arguments["timeout"])

    def _reboot(self, boot_id: str, test_command: str, timeout: int) -> dict[str, Any]:
        """Ask until the test succeeds in another boot; `timeout` is for the boot to end, and again for the test."""
        script = _SCRIPT.format(boot_id=shlex.quote(boot_id), test=test_command, refused=_REFUSED)
        begun = time.monotonic()
        until, delay = begun + timeout, _FIRST_DELAY_SECONDS
        asked = back = False
        while True:
            boot, code, said = self._ask(script)
            now = time.monotonic()
            if boot not in ("", boot_id):
                if not asked:
                    return {"changed": False, "rebooted": False}
                if code == 0:
                    return {"changed": True, "rebooted": True, "elapsed": round(now - begun, 1)}
                if not back:
                    back, until = True, now + timeout
            asked = True
            if boot == boot_id and code == _REFUSED and now > begun + _REFUSAL_SECONDS:
                return _failed("systemd refuses to reboot it", said)
            if now > until:
                return _failed(_waited_for(boot, boot_id, timeout), said)
            time.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY_SECONDS)

    def _ask(self, script: str) -> tuple[str, int | None, str]:
        """Return the boot that answers, the script's exit code, and what it said; an empty boot without an answer."""
        try:
            answer = self._low_level_execute_command(script)
        except AnsibleError as error:
            # The kept connection may lead to the boot that is over.
            with contextlib.suppress(AnsibleConnectionFailure):
                self._connection.reset()
            return "", None, str(error)
        boot = _BOOT.search(answer["stdout"])
        said = f"{answer['stderr']} {_BOOT.sub('', answer['stdout'])}".strip() or f"exit code {answer['rc']}"
        return boot[1] if boot else "", answer["rc"], said


def _waited_for(boot: str, boot_id: str, seconds: int) -> str:
    """Return what did not come in time, by the boot that answered last."""
    if boot == boot_id:
        return f"its boot did not end within {seconds} s"
    return f"the test failed for {seconds} s" if boot else f"no answer for {seconds} s"


def _failed(what: str, said: str) -> dict[str, Any]:
    return {"failed": True, "rebooted": False, "msg": f"{what}: {' '.join(said.split())}"}
