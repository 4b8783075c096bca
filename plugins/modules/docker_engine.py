#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_engine
short_description: Configure and start the Docker engine that a server has
description:
  - Merges settings into the engine's configuration file, without those that are flags of dockerd already, since dockerd
    does not start with a setting that is both. Flags are those of the unit, its drop-ins and its environment files.
  - Has dockerd validate the file where it can, then starts, reloads or restarts the engine, and enables it at boot.
  - Puts the old configuration back when the engine does not start with the new one.
  - Installs nothing.
author:
  - The TeleChat2 on Ascend authors
extends_documentation_fragment: [promises]
attributes:
  check_mode:
    support: full
  diff_mode:
    description: Returns the configuration file.
    support: full
  idempotent:
    support: full
options:
  cli:
    description: The docker client.
    type: path
    default: /usr/bin/docker
  service:
    description: The engine's systemd service.
    type: str
    default: docker
  config:
    description: Settings to be merged into the configuration file; empty leaves that file alone.
    type: dict
    default: {}
  config_path:
    description: The configuration file, unless a flag of dockerd names another.
    type: path
    default: /etc/docker/daemon.json
"""

EXAMPLES = r"""
- name: Keep containers when dockerd is restarted
  docker_engine:
    config:
      live-restore: true
"""

RETURN = r"""
path:
  description: The configuration file.
  returned: when there is an engine
  type: str
  sample: /etc/docker/daemon.json
flags:
  description: The settings that dockerd has as flags, with their values, by the key of the configuration file.
  returned: when there is an engine
  type: dict
  sample: {live-restore: ['true']}
"""

import functools
import os
import typing as t

from ansible.module_utils import docker_converge
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_objects import other_engine
from ansible.module_utils.host_command import NOT_FOUND, run_on_host

# A restart waits for the containers to end.
_SECONDS = 600


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cli": {"type": "path", "default": "/usr/bin/docker"},
            "service": {"type": "str", "default": "docker"},
            "config": {"type": "dict", "default": {}},
            "config_path": {"type": "path", "default": "/etc/docker/daemon.json"},
        },
        supports_check_mode=True,
    )
    # sudo and hardened servers give 077, which would hide what every user of the node reads.
    os.umask(0o022)
    cli, wish = module.params["cli"], module.params["config"]
    engine = docker_converge.Engine(cli=cli, service=module.params["service"], config_path=module.params["config_path"])
    run = functools.partial(run_on_host, timeout=_SECONDS)
    if module.check_mode and run([cli, "--version"]).rc == NOT_FOUND:
        module.exit_json(changed=True, msg="the engine is not installed yet")
    if not module.check_mode:
        run(["systemctl", "daemon-reload"])
    other = other_engine(cli)
    if other:
        module.fail_json(msg=f"{cli} is {other}, and not Docker: name Docker's packages in docker_engine_packages")
    try:
        todo = docker_converge.plan(run, engine, wish)
        if not module.check_mode:
            docker_converge.carry_out(run, engine, todo)
    except (docker_converge.EngineError, OSError) as error:
        module.fail_json(msg=str(error))
    result: t.Dict[str, t.Any] = {"changed": todo.changed, "path": todo.path, "flags": todo.daemon.flags}
    if todo.written:
        result["diff"] = {
            "before_header": todo.path,
            "after_header": todo.path,
            "before": todo.before or "",
            "after": todo.after or "",
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
