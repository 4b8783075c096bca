#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: node_upgrade
short_description: Note on a node how far a fleet upgrade is there, and keep jobs away meanwhile
description:
  - Reads and writes C(/etc/telechat/upgrade.json), the node's state in a fleet upgrade, and C(service.json) in the job
    root, which keeps new jobs away. Both are replaced as a whole.
  - It takes no step of an upgrade itself.
author:
  - The TeleChat2 on Ascend authors
extends_documentation_fragment: [promises]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
options:
  step:
    description:
      - V(require) notes that the campaign will come here.
      - V(drain) takes the node out of service for the campaign; when no job runs there, it is V(upgrading) at once.
      - V(wait) waits until no job runs any more, and then it is V(upgrading).
      - V(rebooting) and V(validating) say how far the node is.
      - V(done), V(rolled-back) and V(give-back) put it back in service; one that was in maintenance before stays so.
      - V(failed) leaves it out of service.
    type: str
    choices: [require, drain, wait, rebooting, validating, done, rolled-back, give-back, failed]
    required: true
  job_root:
    description: The node's job root, with the lease of the job that runs there.
    type: path
    required: true
  campaign:
    description: Which upgrade it is.
    type: dict
    required: true
    suboptions:
      id:
        description: Its id.
        type: str
        required: true
      operator:
        description: Who runs it, as C(user@machine).
        type: str
        required: true
      release:
        description: HDK release that it brings, or V(rollback).
        type: str
        required: true
  before:
    description: Versions of driver and firmware that ran before.
    type: dict
    default: {}
  reason:
    description: Why, to be read with the state.
    type: str
    default: ''
  take_over:
    description: Whether a node that is in the middle of another campaign may be taken over from it.
    type: bool
    default: false
  wait:
    description: Seconds that V(wait) stays on the node at most.
    type: float
    default: 0
"""

EXAMPLES = r"""
- name: Take the node out of service
  node_upgrade:
    step: drain
    job_root: /var/lib/telechat
    campaign: {id: 24.1.rc3-20261128T202000Z-5d1c, operator: lin@ops1, release: 24.1.rc3}
    before: {driver: 23.0.3, firmware: 7.1.0.5.220}
"""

RETURN = r"""
upgrade:
  description: What C(/etc/telechat/upgrade.json) says; null when there is none.
  returned: success
  type: dict
service:
  description: Why the node takes no jobs; null when it is in service.
  returned: success
  type: dict
job:
  description: Id of the job that runs there; null when none does.
  returned: success
  type: str
untouched:
  description: Whether driver and firmware are still those from before the campaign.
  returned: for O(step=drain)
  type: bool
"""

import os
from typing import Any, Dict

from ansible.module_utils.ascend.schema import UPGRADE_PLAYBOOKS, NewerSchemaError
from ansible.module_utils.ascend.service_file import DONE, FAILED, REBOOTING, REQUIRED, ROLLED_BACK, VALIDATING
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.node_upgrade import Campaign, ClaimedError, NodeUpgrade

ENDS = {"done": DONE, "rolled-back": ROLLED_BACK, "give-back": REQUIRED, "failed": FAILED}
STEPS = ["require", "drain", "wait", REBOOTING, VALIDATING, *ENDS]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "required": True, "choices": STEPS},
            "job_root": {"type": "path", "required": True},
            "campaign": {
                "type": "dict",
                "required": True,
                "options": {name: {"type": "str", "required": True} for name in Campaign._fields},
            },
            "before": {"type": "dict", "default": {}},
            "reason": {"type": "str", "default": ""},
            "take_over": {"type": "bool", "default": False},
            "wait": {"type": "float", "default": 0},
        },
        supports_check_mode=True,
    )
    # sudo and hardened servers give 077, which would hide what every user of the node reads.
    os.umask(0o022)
    node = NodeUpgrade(module.params["job_root"])
    if module.check_mode:
        module.exit_json(changed=True, **node.look())
    try:
        answer = take(module.params, node)
    except ClaimedError as error:
        module.fail_json(
            msg=f"another upgrade is at work here: {error}. Wait for it; when it is known to be dead, take the node"
            " over with -e fleet_upgrade_take_over=true",
            claimed=True,
        )
    except NewerSchemaError as error:
        module.fail_json(msg=f"{error}; {UPGRADE_PLAYBOOKS}")
    except OSError as error:
        module.fail_json(msg=f"the state of the upgrade can't be written: {error}; look at the disk of the server")
    module.exit_json(changed=True, **answer, **node.look())


def take(params: Dict[str, Any], node: NodeUpgrade) -> Dict[str, Any]:
    """Take a step and return what is to be told of it beside the node's state."""
    step, campaign = params["step"], Campaign(**params["campaign"])
    if step == "require":
        node.require(campaign, params["before"])
    elif step == "drain":
        untouched = node.drain(campaign, params["before"], take_over=params["take_over"])
        free_for_work(node, campaign, 0)
        return {"untouched": untouched}
    elif step == "wait":
        free_for_work(node, campaign, params["wait"])
    elif step in ENDS:
        node.finish(campaign, ENDS[step], params["reason"])
    else:
        node.advance(campaign, step, params["reason"])
    return {}


def free_for_work(node: NodeUpgrade, campaign: Campaign, seconds: float) -> None:
    """Go on to the upgrade as soon as no job runs, within that time."""
    if node.wait_for_jobs(seconds) is None:
        node.begin_work(campaign)


if __name__ == "__main__":
    main()
