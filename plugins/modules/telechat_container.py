#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: telechat_container
short_description: Keep the one long-lived container of an Ascend node
description:
  - Makes the container that the jobs of a node run in, starts it when it is stopped, and makes it anew when its
    parameters or its image differ from what is wished.
  - Has systemd start it, too, when Docker could not at boot, as devices came late.
  - Uses the docker client; nothing has to be installed for Python on the node.
  - Every device and every source of a mount is checked to exist first, since Docker makes a directory of a missing one.
  - Refuses to make a container anew that a job runs in, and to touch one that it has not made.
author:
  - The TeleChat2 on Ascend authors
extends_documentation_fragment: [promises]
attributes:
  check_mode:
    support: full
  diff_mode:
    description: Returns the parameters that differ.
    support: full
  idempotent:
    support: full
options:
  cli:
    description: The docker client.
    type: path
    default: /usr/bin/docker
  name:
    description: Name of the container.
    type: str
    required: true
  parameters:
    description:
      - What the container is to be like, as C(_telechat_container_wish) of the role telechat_container says it.
    type: dict
    required: true
  job_root:
    description: Folder with the node's lease.
    type: path
    default: /var/lib/telechat
  replace_unmanaged:
    description: Replace a container of this name that the module has not made.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Keep the container
  telechat_container:
    name: telechat
    parameters: "{{ _telechat_container_wish }}"
"""

RETURN = r"""
action:
  description: What was done, or would be in check mode.
  returned: always
  type: str
  sample: recreate
reason:
  description: Why.
  returned: always
  type: str
  sample: it differs in mounts
argv:
  description: The command that makes the container.
  returned: when the container is made
  type: list
  elements: str
"""

import json
import typing as t

from ansible.module_utils import container_plan, container_unit
from ansible.module_utils.ascend import lease_file
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_objects import Inspected, inspect, last_line
from ansible.module_utils.host_command import run_on_host
from ansible.module_utils.host_paths import kind_of, own_names


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cli": {"type": "path", "default": "/usr/bin/docker"},
            "name": {"type": "str", "required": True},
            "parameters": {"type": "dict", "required": True},
            "job_root": {"type": "path", "default": "/var/lib/telechat"},
            "replace_unmanaged": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    name, wish = module.params["name"], module.params["parameters"]
    settled = container_plan.parameters(wish, kind_of, own_names())
    inspected = inspect(run_on_host, module.params["cli"], name, wish["image_name"])
    if not inspected.reachable and not module.check_mode:
        module.fail_json(msg=f"container {name}: {inspected.reason}")
    decision = container_plan.decide(
        settled, inspected.container, inspected.image, replace_unmanaged=module.params["replace_unmanaged"]
    )
    refusal = container_plan.refusal(decision, name, lease_file.holder(module.params["job_root"]))
    if refusal:
        module.fail_json(msg=f"{refusal.check}: {refusal.value}; {refusal.rule}. Next: {refusal.next_step}.")
    unit = container_unit.wanted(dict(wish, container_name=name))
    has_unit = not container_unit.stale(unit)
    result: t.Dict[str, t.Any] = {
        "changed": decision.action != "nothing" or not has_unit,
        "action": decision.action,
        "reason": decision.reason,
    }
    if decision.action in ("create", "recreate"):
        image_id = inspected.image.id if inspected.image else None
        result["argv"] = container_plan.run_argv(module.params["cli"], name, settled, image_id)
        check_sources(module, wish)
    if decision.action != "nothing":
        result["diff"] = diff(name, decision, settled)
    if not module.check_mode:
        apply(module, decision, inspected, result.get("argv"))
        if not has_unit:
            install_unit(module, unit)
    module.exit_json(**result)


def check_sources(module: AnsibleModule, wish: t.Dict[str, t.Any]) -> None:
    """Fail naming everything that is missing; in check mode an earlier role may yet bring it, so it is a warning."""
    missing = container_plan.missing_sources(wish, kind_of)
    if not missing:
        return
    text = "the container needs what is not there: " + "; ".join(missing)
    if not module.check_mode:
        module.fail_json(msg=text, missing=missing)
    module.warn(text)


def apply(
    module: AnsibleModule, decision: container_plan.Decision, inspected: Inspected, argv: t.Optional[t.List[str]]
) -> None:
    cli, name = module.params["cli"], module.params["name"]
    if decision.action == "start":
        # Whoever stopped it for good, as an uninstallation of the driver does, has taken its restart policy away.
        execute(module, [cli, "update", "--restart", module.params["parameters"]["restart"], name])
        execute(module, [cli, "start", name])
    if argv is None:
        return
    if inspected.image is None:
        image = module.params["parameters"]["image_name"]
        module.fail_json(msg=f"there is no image {image} on this host: the role telechat_image brings it")
    if decision.action == "recreate":
        execute(module, [cli, "rm", "--force", name])
    rc, _, stderr = module.run_command(argv)
    if rc != 0:
        # a container that was made but can't start would be taken for a stopped one the next time
        module.run_command([cli, "rm", "--force", name])
        module.fail_json(msg=f"container {name} does not start: {last_line(stderr)}", rc=rc, argv=argv)


def install_unit(module: AnsibleModule, unit: t.Dict[str, str]) -> None:
    try:
        container_unit.install(unit, run_on_host)
    except container_unit.UnitError as error:
        module.fail_json(msg=str(error))


def execute(module: AnsibleModule, argv: t.List[str]) -> None:
    rc, _, stderr = module.run_command(argv)
    if rc != 0:
        module.fail_json(msg=f"{' '.join(argv)} failed: {last_line(stderr)}", rc=rc)


def diff(name: str, decision: container_plan.Decision, settled: t.Dict[str, t.Any]) -> t.Dict[str, str]:
    differences = decision.differences
    if decision.action == "create":
        differences = container_plan.differences({}, settled)
    elif decision.action == "start":
        differences = (("state", "stopped", "running"),)
    texts = [json.dumps({item[0]: item[side] for item in differences}, indent=2, sort_keys=True) for side in (1, 2)]
    header = f"container {name}"
    return {"before_header": header, "after_header": header, "before": texts[0] + "\n", "after": texts[1] + "\n"}


if __name__ == "__main__":
    main()
