# SPDX-License-Identifier: Apache-2.0
"""The step that no vendor's script does: leftovers removed."""

from __future__ import annotations

import glob
import os
import re
import shutil
from typing import List

from ansible.module_utils.hdk.leftovers import DRIVER_MODULES, INSTALLED_ELSEWHERE
from ansible.module_utils.hdk.state import ASCEND_HOME, DKMS_TREE, INSTALL_INFO, Step
from ansible.module_utils.hdk.steps import Host, StepError, new_log, run_logged

_DKMS_MODULE = "davinci_ascend"
_DKMS_SOURCES = "/usr/src/davinci_ascend-*"

# What may be removed without the vendor's script: nothing but the HDK puts anything there, and all of it comes back
# with an installation. Logs, /etc/hccn.conf, the run user and everything else below /usr/local/Ascend stay.
REMOVABLE = (
    re.escape(DKMS_TREE),
    re.escape(INSTALL_INFO),
    r"/usr/src/davinci_ascend-[^/]+",
    r"(?:/usr/local/sbin|/usr/local/bin|/usr/bin)/npu-smi",
    re.escape(ASCEND_HOME) + r"/(?:driver|firmware)",
    r"/lib/modules/[^/]+/(?:updates|updates/dkms|extra)/" + DRIVER_MODULES + r"\.ko(?:\.xz|\.zst|\.gz)?",
    r"/etc/rc[0-6S]\.d/[SK]\d\dhost_sys_init(?:\.sh)?",
    re.escape(ASCEND_HOME) + r"/host_[a-z_]+\.sh",
    *(re.escape(path) for path in INSTALLED_ELSEWHERE),
    r"/etc/(?:rc\.d/)?init\.d/host_sys_init(?:\.sh)?",
    r"/etc/systemd/system(?:/multi-user\.target\.wants)?/host_sys_init\.service",
)


def clean(step: Step, host: Host) -> None:
    """Remove what an installation left behind. Raises StepError for a path that is not on the list."""
    log = new_log(step)
    for path in step.targets:
        if not removable(path):
            raise StepError(f"{step}: {path} is not removed unasked; remove it by hand, then run again")
    _make_mutable([path for path in step.targets if os.path.exists(path)], log, host)
    for path in step.targets:
        if path == DKMS_TREE:
            _leave_dkms(log, host)
        try:
            remove(path)
        except PermissionError as error:
            place = error.filename or path
            raise StepError(
                f"{step}: {place} can't be removed: {error.strerror}; chattr -R -i {path} (lsattr shows what is"
                " immutable), then run again"
            ) from None
    with open(log, "a", encoding="utf-8") as stream:
        stream.write("".join(f"removed {path}\n" for path in step.targets))


def removable(path: str) -> bool:
    """Tell whether a path is one that may be removed without the vendor's script."""
    return any(re.fullmatch(pattern, path) for pattern in REMOVABLE)


def _make_mutable(paths: List[str], log: str, host: Host) -> None:
    """Take immutable flags away: newer installers set them on whatever they install, folders too."""
    if paths and shutil.which("chattr"):
        # File systems without such flags have none to take away, which chattr calls a failure.
        run_logged(["chattr", "-R", "-f", "-i", "--", *paths], log, host)


def _leave_dkms(log: str, host: Host) -> None:
    """Let dkms take its modules out of all kernels; whether it manages to, the tree goes, which is in the way."""
    for source in sorted(glob.glob(os.path.join(DKMS_TREE, "*"))):
        version = os.path.basename(source)
        if os.path.isdir(source) and shutil.which("dkms"):
            run_logged(["dkms", "remove", "-m", _DKMS_MODULE, "-v", version, "--all"], log, host)
    for source in glob.glob(_DKMS_SOURCES):
        remove(source)


def remove(path: str) -> None:
    """Remove a file, a link or a folder with all in it; nothing there is fine."""
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)
