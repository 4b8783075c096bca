# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import pytest
import yaml
from ansible.module_utils import container_plan
from ansible.module_utils.docker_objects import Container, Image

ROOT = Path(__file__).parents[4]
KINDS = {
    "/dev/davinci0": "device",
    "/dev/davinci_manager": "device",
    "/usr/local/Ascend/driver": "dir",
    "/usr/local/sbin/npu-smi": "file",
    "/etc/hccn.conf": "file",
    "/data03": "dir",
}
NAMES = container_plan.Names(hostname="node-0", known=(("localhost", "127.0.0.1"), ("store", "192.0.2.50")))
IMAGE = Image(id="sha256:" + "a" * 64, digests=(), labels={})


def wish(**changes):
    return {
        "image_name": "telechat-ms:1.0",
        "command": ["/bin/bash"],
        "user": "0",
        "privileged": False,
        "network": "host",
        "ipc": "host",
        "restart": "unless-stopped",
        "stop_signal": "SIGHUP",
        "shm_size": "",
        "ulimits": [],
        "env": {},
        "devices": ["/dev/davinci0", "/dev/davinci_manager"],
        "mounts": [
            {"source": "/usr/local/Ascend/driver", "read_only": True, "kind": "dir"},
            {"source": "/usr/local/sbin/npu-smi", "read_only": True, "kind": "file"},
            {"source": "/etc/hccn.conf", "read_only": True, "required": False},
            {"source": "/usr/local/dcmi", "read_only": True, "required": False},
            {"source": "/data03", "target": "/mnt/model"},
        ],
        "address": "192.0.2.11",
        **changes,
    }


def settled(kinds=KINDS, **changes):
    return container_plan.parameters(wish(**changes), kinds.get, NAMES)


def container(parameters, *, running=True, image_id=IMAGE.id, labels=None):
    made = {
        container_plan.SPEC_LABEL: container_plan.spec_hash(parameters),
        container_plan.PARAMETERS_LABEL: json.dumps(parameters),
    }
    return Container(id="c1", image_id=image_id, running=running, labels=made if labels is None else labels)


def decide(parameters, found, *, image=IMAGE, replace_unmanaged=False):
    return container_plan.decide(parameters, found, image, replace_unmanaged=replace_unmanaged)


def test_argv_of_a_node():
    argv = container_plan.run_argv("/usr/bin/docker", "telechat", settled(), IMAGE.id)
    labels, plain = argv[-6:-2], argv[:-6] + argv[-2:]
    assert plain == [
        "/usr/bin/docker", "run", "-itd", "--name", "telechat", "-u", "0",
        "--ipc", "host", "--network", "host", "--restart", "unless-stopped", "--stop-signal", "SIGHUP",
        "--device", "/dev/davinci0", "--device", "/dev/davinci_manager",
        "--mount", "type=bind,source=/usr/local/Ascend/driver,target=/usr/local/Ascend/driver,readonly",
        "--mount", "type=bind,source=/usr/local/sbin/npu-smi,target=/usr/local/sbin/npu-smi,readonly",
        "--mount", "type=bind,source=/etc/hccn.conf,target=/etc/hccn.conf,readonly",
        "--mount", "type=bind,source=/data03,target=/mnt/model",
        "--add-host", "node-0:192.0.2.11", "--add-host", "store:192.0.2.50",
        IMAGE.id, "/bin/bash",
    ]  # fmt: skip
    assert labels[0::2] == ["--label", "--label"]
    assert labels[1] == f"telechat.spec={container_plan.spec_hash(settled())}"
    assert json.loads(labels[3].split("=", 1)[1]) == settled()


def test_too_many_open_files_is_no_matter_of_the_engines_limits():
    defaults = yaml.safe_load((ROOT / "roles/telechat_container/defaults/main.yml").read_text())
    ulimits = defaults["telechat_container_ulimits"]
    argv = container_plan.run_argv("docker", "t", settled(ulimits=ulimits), IMAGE.id)
    given = [argv[i + 1] for i, word in enumerate(argv) if word == "--ulimit"]
    assert given == ["memlock=-1:-1", "nofile=1048576:1048576"]


def test_argv_with_everything_optional():
    argv = container_plan.run_argv(
        "docker",
        "t",
        settled(
            privileged=True,
            shm_size="500g",
            ulimits=["nofile=9", "memlock=-1:-1"],
            env={"B": 2, "A": "x y"},
            address="",
        ),
        None,
    )
    assert argv[-2:] == ["telechat-ms:1.0", "/bin/bash"]
    assert argv[argv.index("--restart") + 2 : argv.index("--device")] == [
        "--privileged", "--stop-signal", "SIGHUP", "--shm-size", "500g",
        "--ulimit", "memlock=-1:-1", "--ulimit", "nofile=9",
    ]  # fmt: skip
    assert [argv[i + 1] for i, word in enumerate(argv) if word == "--env"] == ["A=x y", "B=2"]
    assert "--add-host" not in argv


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("127.0.0.1 localhost\n192.0.2.11 node-0.example node-0 # me\n", []),
        ("127.0.1.1\tnode-0\n", []),
        ("", ["node-0:192.0.2.11"]),
        ("# node-0\n::1 localhost ip6-localhost ip6-loopback\n", ["node-0:192.0.2.11"]),
        ("192.0.2.50 store\n2001:db8::1 six\n", ["node-0:192.0.2.11", "store:192.0.2.50", "six:2001:db8::1"]),
    ],
    ids=["known", "known on loopback", "empty", "comment", "others"],
)
def test_own_name_is_added_where_the_hosts_file_lacks_it(text, hosts):
    names = container_plan.Names("node-0", container_plan.parse_hosts(text))
    assert container_plan.parameters(wish(), KINDS.get, names)["hosts"] == hosts
    for changes in ({"network": "bridge"}, {"address": "node-0.example"}, {"address": ""}):
        assert container_plan.parameters(wish(**changes), KINDS.get, names)["hosts"] == []


def test_mount_with_a_comma_is_quoted_as_csv():
    kinds = {**KINDS, '/data,"03"': "dir"}
    mounts = settled(kinds, mounts=[{"source": '/data,"03"', "target": "/mnt/model"}])["mounts"]
    assert mounts == ['type=bind,"source=/data,""03""",target=/mnt/model']


def test_all_missing_sources_are_named_at_once():
    kinds = {
        "/dev/davinci0": "file",
        "/usr/local/sbin/npu-smi": "dir",
        "/data03": "dir",
        "/usr/local/Ascend/driver": "file",
    }
    assert container_plan.missing_sources(wish(), kinds.get) == [
        "/dev/davinci_manager is missing",
        "/dev/davinci0 is no device",
        "/usr/local/Ascend/driver is a file where a directory belongs",
        (
            "/usr/local/sbin/npu-smi is a directory where a file belongs (docker makes one for a missing mount source; "
            "remove it and install the file)"
        ),
    ]


def test_nothing_missing():
    assert container_plan.missing_sources(wish(), KINDS.get) == []


@pytest.mark.parametrize(
    ("found", "action"),
    [
        (None, "create"),
        (container(settled()), "nothing"),
        (container(settled(), running=False), "start"),
        (container(settled(privileged=True)), "recreate"),
        (container(settled(), image_id="sha256:" + "b" * 64), "recreate"),
        (container({}, labels={}), "refuse"),
    ],
    ids=["absent", "same", "stopped", "parameter", "image", "foreign"],
)
def test_decision(found, action):
    assert decide(settled(), found).action == action


def test_reason_names_what_differs():
    decision = decide(settled(privileged=True, env={"A": "1"}), container(settled()))
    assert decision.reason == "it differs in env, privileged"
    assert decision.differences == (("env", {}, {"A": "1"}), ("privileged", False, True))


def test_foreign_container_is_replaced_only_when_asked():
    foreign = container({}, labels={})
    assert decide(settled(), foreign, replace_unmanaged=True).action == "recreate"
    problem = container_plan.refusal(decide(settled(), foreign), "telechat", None)
    assert "telechat_container_replace_unmanaged" in problem.next_step


def test_damaged_label_makes_anew():
    damaged = container({}, labels={container_plan.SPEC_LABEL: "x", container_plan.PARAMETERS_LABEL: "{"})
    assert decide(settled(), damaged).action == "recreate"


def test_job_forbids_making_anew_but_not_starting():
    holder = "job 20260101-1 of lin since 10:00"
    recreate = decide(settled(privileged=True), container(settled()))
    assert holder in container_plan.refusal(recreate, "telechat", holder).value
    assert container_plan.refusal(recreate, "telechat", None) is None
    start = decide(settled(), container(settled(), running=False))
    assert container_plan.refusal(start, "telechat", holder) is None


def test_optional_mount_that_appears_is_a_difference():
    with_dcmi = {**KINDS, "/usr/local/dcmi": "dir"}
    assert decide(settled(with_dcmi), container(settled())).reason == "it differs in mounts"
