# SPDX-License-Identifier: Apache-2.0
"""Build the installed driver's modules for a kernel that does not run yet, by DKMS, and say why when they don't build.

A driver that its installer put in place without DKMS (`driver install type: Direct`) is left alone: the vendor's
run_driver_ko_rebuild.sh knows the running kernel only, and its options are in no manual.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import List, NamedTuple, Optional

from ansible.module_utils.ascend.kernels import module_file
from ansible.module_utils.command_result import Run
from ansible.module_utils.hdk.state import DKMS_TREE

LOG_FOLDER = "var/log/ascend-hdk"


class BuildError(Exception):
    """The module was not built; the text says the kernel, the cause and what to do next."""


class KnownCause(NamedTuple):
    """A text of make.log or dkms, what it means and what helps."""

    pattern: str
    cause: str
    next_step: str


_COMPILER = "install the compiler that the kernel was built with (/boot/config-KERNEL names it), then run again"
_TOO_NEW = "stay on the running kernel, or take an HDK release that knows this one"

KNOWN_CAUSES = (
    KnownCause(r"No space left on device", "the disk is full", "make room in /var/lib/dkms and /tmp, then run again"),
    KnownCause(
        r"headers for kernel \S+ (?:cannot be found|could not be found)|kernel source .*not found",
        "DKMS finds no headers of this kernel",
        "install the package that has its /lib/modules/KERNEL/build, then run again",
    ),
    KnownCause(r"(?P<detail>unrecognized command[- ]line option \S+)", "the compiler is too old or too new", _COMPILER),
    KnownCause(
        r"(?P<detail>(?:gcc|cc|make|ld)(?:-\d+)?: (?:command )?not found)",
        "a tool of the build is missing",
        "add its package to ascend_hdk_os_packages, then run again",
    ),
    KnownCause(
        r"fatal error: (?P<detail>\S+: No such file or directory)",
        "a header file is missing: the kernel's headers are not whole, or the driver does not know this kernel",
        "reinstall the headers' package; " + _TOO_NEW,
    ),
    KnownCause(
        r"error: (?P<detail>implicit declaration of function .*|too (?:few|many) arguments to function .*"
        r"|.* has no member named .*|passing argument .* from incompatible pointer type.*)",
        "the driver's source does not know this kernel",
        _TOO_NEW,
    ),
    KnownCause(r"modpost: (?P<detail>.*(?:undefined|GPL-incompatible).*)", "this kernel lacks what it uses", _TOO_NEW),
    KnownCause(r"(?P<detail>error: .+)", "the driver's source does not compile for this kernel", _TOO_NEW),
)


def install_argv(version: str, kernel: str) -> List[str]:
    """Return the command that builds what is not built and installs it, over what DKMS wrongly takes for installed."""
    return ["dkms", "install", "--force", "-m", os.path.basename(DKMS_TREE), "-v", version, "-k", kernel]


def build(run: Run, version: str, kernel: str, root: str = "/") -> str:
    """Build and install the modules for a kernel; return the path of the PCIe module. Raises BuildError."""
    answer = run(install_argv(version, kernel))
    path = module_file(kernel, root)
    if answer.rc == 0 and path:
        return path
    log = _kept(make_log(version, kernel, root), version, kernel, root)
    output = answer.stdout + "\n" + answer.stderr
    # What dkms says itself comes first: it may have ended before the compiler wrote a new log.
    known = known_cause(output) or (known_cause(_text_of(log)) if log else None)
    told = f"its output: {log}" if log else "the compiler was not run"
    if known:
        raise BuildError(f"kernel {kernel}: {known.cause}; {known.next_step} ({told})")
    ended = f"dkms ended with {answer.rc}" if answer.rc else "dkms made no drv_pcie_host.ko"
    raise BuildError(f"kernel {kernel}: {ended}: {_last_line(output)} ({told})")


def make_log(version: str, kernel: str, root: str = "/") -> Optional[str]:
    """Return the path of the compiler's output of the last build: of one that failed, else of this kernel's."""
    tree = os.path.join(root, DKMS_TREE[1:], version)
    paths = [os.path.join(tree, "build", "make.log"), os.path.join(tree, kernel, os.uname().machine, "log/make.log")]
    return next((path for path in paths if os.path.isfile(path)), None)


def known_cause(text: str) -> Optional[KnownCause]:
    """Return the first known cause, its cause with what was found; None when the text has none."""
    for known in KNOWN_CAUSES:
        match = re.search(known.pattern, text)
        if match:
            detail = match.groupdict().get("detail")
            return known._replace(cause=f"{known.cause} ({detail.strip()})" if detail else known.cause)
    return None


def _kept(log: Optional[str], version: str, kernel: str, root: str) -> Optional[str]:
    """Put a failed build's log aside and take its folder away: the driver's installer would stumble over it."""
    kept = None
    if log:
        kept = os.path.join(root, LOG_FOLDER, f"dkms-{kernel}.log")
        os.makedirs(os.path.dirname(kept), mode=0o755, exist_ok=True)
        shutil.copyfile(log, kept)
    shutil.rmtree(os.path.join(root, DKMS_TREE[1:], version, "build"), ignore_errors=True)
    return kept


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def _text_of(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()
