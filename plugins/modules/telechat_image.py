#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: telechat_image
short_description: Bring a container image to a node and verify it
description:
  - Loads an image from an archive on the node, builds it from a folder on the node, or pulls it from a registry.
  - Does nothing when the image of that name is the right one already, by id, digest or the inputs of its build.
  - A wrong image that was loaded or pulled is an error, and it is pending again the next time.
author:
  - The TeleChat2 on Ascend authors
extends_documentation_fragment: [promises]
attributes:
  check_mode:
    support: full
  diff_mode:
    description: Returns the image ids before and after.
    support: full
  idempotent:
    support: full
options:
  cli:
    description: The docker client.
    type: path
    default: /usr/bin/docker
  name:
    description: Name and tag (or digest) that the image has on the node.
    type: str
    required: true
  source:
    description: Where the image comes from.
    type: str
    choices: [archive, build, pull]
    required: true
  ids:
    description: Ids of the right image, any of which will do. Empty with O(source=archive) takes them from the archive.
    type: list
    elements: str
    default: []
  archive:
    description: File on the node as C(docker save) writes it, compressed or not.
    type: path
  context:
    description: Folder on the node with everything the build needs.
    type: path
  dockerfile:
    description: Name of the Dockerfile in O(context).
    type: str
    default: Dockerfile
  build_args:
    description: Values of the Dockerfile's ARG instructions.
    type: dict
    default: {}
  fingerprint:
    description: What the inputs of the build hash to; kept as a label of the image.
    type: str
    default: ''
  pull_base:
    description: Whether a build may ask a registry for its base image.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Load the image
  telechat_image:
    name: telechat-ms:1.0
    source: archive
    archive: /var/cache/telechat/telechat-ms.tar
"""

RETURN = r"""
id:
  description: Id of the image on the node; null in check mode when it is not known yet.
  returned: always
  type: str
reason:
  description: Why the image was brought; empty when it was there.
  returned: always
  type: str
"""

import os
import re
import typing as t

from ansible.module_utils import image_plan
from ansible.module_utils.ascend import image_archive
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_objects import Image, inspect, last_line, with_tag
from ansible.module_utils.host_command import run_on_host

_MASK = "********"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cli": {"type": "path", "default": "/usr/bin/docker"},
            "name": {"type": "str", "required": True},
            "source": {"type": "str", "choices": ["archive", "build", "pull"], "required": True},
            "ids": {"type": "list", "elements": "str", "default": []},
            "archive": {"type": "path"},
            "context": {"type": "path"},
            "dockerfile": {"type": "str", "default": "Dockerfile"},
            "build_args": {"type": "dict", "default": {}},
            "fingerprint": {"type": "str", "default": ""},
            "pull_base": {"type": "bool", "default": False},
        },
        required_if=[("source", "archive", ["archive"]), ("source", "build", ["context"])],
        supports_check_mode=True,
        # Build arguments may be secrets (an index's password), and too short to be masked wherever they occur.
        no_log=True,
    )
    # sudo and hardened servers give 077, which would hide what every user of the node reads.
    os.umask(0o022)
    wish = dict(module.params)
    module.params["build_args"] = dict.fromkeys(wish["build_args"], _MASK)
    if wish["source"] == "archive" and not wish["ids"]:
        wish["ids"] = archive_ids(module)
    before, reason = look(module, wish)
    if reason is None:
        module.exit_json(changed=False, id=before.id if before else None, reason="")
    after_id = wish["ids"][0] if wish["ids"] else None
    if not module.check_mode:
        {"archive": load, "build": build, "pull": pull}[wish["source"]](module, wish)
        after, still = look(module, wish)
        if still is not None or after is None:
            module.fail_json(msg=f"image from {wish['source']}: {still}", wanted=wish["ids"])
        after_id = after.id
    lines = [f"{wish['name']} {value}\n" if value else "" for value in (before.id if before else None, after_id)]
    module.exit_json(changed=True, id=after_id, reason=reason, diff={"before": lines[0], "after": lines[1]})


def look(module: AnsibleModule, wish: t.Dict[str, t.Any]) -> t.Tuple[t.Optional[Image], t.Optional[str]]:
    """Return the image of that name and why it is not the right one (None when it is)."""
    inspected = inspect(run_on_host, wish["cli"], "", wish["name"])
    if not inspected.reachable:
        if not module.check_mode:
            module.fail_json(msg=f"image {wish['name']}: {inspected.reason}")
        return None, inspected.reason
    return inspected.image, image_plan.mismatch(wish, inspected.image)


def archive_ids(module: AnsibleModule) -> t.List[str]:
    try:
        return image_archive.image_ids(module.params["archive"])
    except (OSError, image_archive.ArchiveError) as error:
        # in check mode the archive was not copied, so it can't be asked
        if not module.check_mode or not isinstance(error, FileNotFoundError):
            module.fail_json(msg=f"image archive: {error}")
    return []


def load(module: AnsibleModule, wish: t.Dict[str, t.Any]) -> None:
    """Load the archive and give its image the wished name, but only to an image with one of the right ids."""
    stdout = docker(module, ["load", "--input", wish["archive"]])
    loaded = re.findall(r"Loaded image(?: ID)?: (\S+)", stdout)
    candidates = list(dict.fromkeys(wish["ids"] + loaded))
    for candidate in candidates:
        image = inspect(run_on_host, wish["cli"], "", candidate).image
        if image is not None and image.id in wish["ids"]:
            docker(module, ["tag", image.id, with_tag(wish["name"])])
            return
    module.fail_json(msg=f"{wish['archive']} gave {', '.join(loaded) or 'no image'}, wanted {wish['ids'][0]}")


def build(module: AnsibleModule, wish: t.Dict[str, t.Any]) -> None:
    shown = image_plan.build_words({**wish, "build_args": module.params["build_args"]})
    docker(module, image_plan.build_words(wish), shown)


def pull(module: AnsibleModule, wish: t.Dict[str, t.Any]) -> None:
    docker(module, ["pull", wish["name"]])


def docker(module: AnsibleModule, arguments: t.List[str], shown: t.Optional[t.List[str]] = None) -> str:
    """Run docker and return its output; ``shown`` are the arguments without secrets."""
    argv = [module.params["cli"], *arguments]
    rc, stdout, stderr = module.run_command(argv)
    if rc != 0:
        text = f"docker {arguments[0]} failed: {last_line(stderr)}"
        module.fail_json(msg=text, rc=rc, stderr=stderr, argv=[argv[0], *(shown or arguments)])
    return stdout


if __name__ == "__main__":
    main()
