# SPDX-License-Identifier: Apache-2.0
"""Read and write the lock file of HDK packages on the control side."""

from __future__ import annotations

import os
from typing import Dict

from ansible.module_utils.hdk.lock import CHECK, FILE, MAKE, MEND, RULE, LockEntry, LockError, parse_lock
from ansible.module_utils.host_problem import Problem

_EARLIER = "packages.lock.yml"


def read_lock(path: str) -> Dict[str, LockEntry]:
    """Return name → entry. Raises LockError, and ImportError where PyYAML is missing."""
    import yaml  # noqa: PLC0415 - a module says itself what it misses

    try:
        with open(path, encoding="utf-8") as stream:
            document = yaml.safe_load(stream)
    except OSError as error:
        raise _error(f"{path}: {error.strerror}{_earlier(path)}", f"{MAKE}, or set ascend_hdk_lock_file") from error
    except UnicodeDecodeError as error:
        raise _error(f"{path} is no UTF-8 text", MEND) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or type(error).__name__
        raise _error(f"{path}{where} is no YAML: {reason}", MEND) from error
    return parse_lock(document, path)


def _earlier(path: str) -> str:
    beside = os.path.join(os.path.dirname(path), _EARLIER)
    return f" (there is {_EARLIER}, which {FILE} replaces)" if os.path.isfile(beside) else ""


def _error(value: str, next_step: str) -> LockError:
    return LockError([Problem(check=CHECK, value=value, rule=RULE, next_step=next_step)])
