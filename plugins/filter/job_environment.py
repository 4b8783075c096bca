# SPDX-License-Identifier: Apache-2.0
"""The environment of a node's jobs, computed by the function that plans them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from telechat_runtime.plan.msrun import environment_file, node_env


def job_environment(env: Mapping[str, Any], env_script: str, tree: str, shared_paths: Sequence[str]) -> str:
    """Return the shell text that sets what a job has on this node."""
    extra = {name: str(value) for name, value in env.items()}
    # The inventory's reader takes the slash at the end of a tree away too.
    return environment_file(env_script, node_env(tree=tree.rstrip("/"), shared_paths=shared_paths, extra=extra))


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"job_environment": job_environment}
