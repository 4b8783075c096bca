# SPDX-License-Identifier: Apache-2.0
import fcntl
import json

import pytest
from ansible.module_utils import container_plan, stack_look
from ansible.module_utils.command_result import Result
from ansible.module_utils.file_digest import file_sha256
from ansible.module_utils.host_paths import kind_of, own_names
from hypothesis import given
from hypothesis import strategies as st

ROLES = list(stack_look.STANDS_ON)
IMAGE_ID = "sha256:" + "a" * 64


class Host:
    """A host in a folder, with an engine that answers from what the test put there; counts processes."""

    def __init__(self, root):
        self.root = root
        self.objects = []
        self.result = None
        self.commands = []
        self.unit = "LoadState=loaded\nExecStart={ argv[]=/usr/bin/dockerd -H fd:// ; ignore_errors=no ; }\n"
        (root / "data03" / ".telechat").mkdir(parents=True)
        (root / "jobs").mkdir()
        (root / "daemon.json").write_text('{"log-driver": "local", "runtimes": {"a": {"path": "/a"}, "c": {}}}')
        (root / "telechat-run.pyz").write_text("runtime")

    def run(self, argv):
        if argv[0] == "systemctl":
            return Result(0, self.unit, "")
        self.commands.append(argv)
        return self.result or Result(0 if len(self.objects) == 2 else 1, json.dumps(self.objects), "No such object: x")

    def wishes(self, **changes):
        engine = {
            "cli": "docker",
            "container_name": "telechat",
            "image_name": "ms:1.0",
            "job_root": str(self.root / "jobs"),
        }
        wishes = {
            "docker_engine": {
                **engine,
                "service": "nothing-of-this-name",
                "install": True,
                "daemon_config": {},
                "daemon_config_path": str(self.root / "daemon.json"),
            },
            "telechat_image": {
                **engine,
                "source": "archive",
                "ids": [IMAGE_ID],
                "archive_on_host": "",
                "archive_problem": "",
                "fingerprint": "",
            },
            "telechat_weights": {"dir": str(self.root / "data03"), "files": []},
            "telechat_container": {
                **engine,
                **dict.fromkeys(("user", "network", "ipc", "restart", "stop_signal", "shm_size", "address"), ""),
                "privileged": False,
                "ulimits": [],
                "env": {},
                "command": [],
                "devices": [],
                "replace_unmanaged": False,
                "mounts": [{"source": str(self.root / "data03")}],
            },
            "telechat_runtime": {
                **engine,
                "files": {str(self.root / "telechat-run.pyz"): file_sha256(self.root / "telechat-run.pyz")},
            },
            "verify": {
                **engine,
                "always": False,
                "stamp": str(self.root / "verified.json"),
                "hdk_path": str(self.root / "Ascend"),
                "runtime_files": [str(self.root / "telechat-run.pyz")],
                "settings": {"python": "python3"},
            },
        }
        for role, change in changes.items():
            wishes[role] = {**wishes[role], **change}
        return wishes

    def make_whole(self):
        parameters = container_plan.parameters(self.wishes()["telechat_container"], kind_of, own_names())
        labels = {"telechat.spec": "x", "telechat.parameters": json.dumps(parameters)}
        container = {"Id": "c1", "Image": IMAGE_ID, "State": {"Running": True}, "Config": {"Labels": labels}}
        self.objects = [container, {"Id": IMAGE_ID, "RootFS": {}}]
        fingerprint = {
            "driver": None,
            "firmware": None,
            "image": IMAGE_ID,
            "container": "c1",
            "runtime": {str(self.root / "telechat-run.pyz"): file_sha256(self.root / "telechat-run.pyz")},
            "settings": {"python": "python3"},
        }
        (self.root / "verified.json").write_text(json.dumps({"fingerprint": fingerprint}))

    def look(self, **changes):
        wishes = self.wishes(**changes)
        if "docker_engine" not in changes:
            del wishes["docker_engine"]  # whether a service starts at boot is this machine's
        return stack_look.look(wishes, self.run)


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def test_bare_host_has_everything_pending(host):
    host.result = Result(127, "", "")
    host.root.joinpath("telechat-run.pyz").write_text("old")
    weights = {"name": "a", "url": "http://192.0.2.1/a", "sha256": "ab" * 32, "size": 1}
    found = host.look(
        docker_engine={}, telechat_weights={"files": [weights]}, telechat_runtime={"files": {"/nowhere/x": "1"}}
    )
    assert found["pending"] == {
        "docker_engine": "docker is not installed",
        "telechat_image": "docker is not installed",
        "telechat_weights": "a: not present",
        "telechat_container": "docker is not installed",
        "telechat_runtime": "differs: /nowhere/x",
        "verify": "it was not verified yet",
    }
    assert found["problems"] == []


def test_whole_host_has_nothing_pending_and_costs_one_process(host):
    host.make_whole()
    assert host.look() == {
        "facts": {"telechat_image": {"ids": [IMAGE_ID]}},
        "pending": {},
        "alone": [],
        "problems": [],
        "cautions": [],
    }
    assert host.commands == [["docker", "inspect", "telechat", "ms:1.0"]]


def test_roles_without_a_wish_are_not_looked_at(host):
    assert stack_look.look({}, host.run) == {"facts": {}, "pending": {}, "alone": [], "problems": [], "cautions": []}
    assert host.commands == []


def test_verification_is_stale_after_a_change(host):
    host.make_whole()
    (host.root / "Ascend" / "driver").mkdir(parents=True)
    (host.root / "Ascend" / "driver" / "version.info").write_text("Version=24.1.rc3\n")
    assert host.look()["pending"] == {"verify": "changed since it was verified: driver"}


def test_verification_can_be_asked_for(host):
    host.make_whole()
    assert host.look(verify={"always": True})["pending"] == {"verify": "asked for"}


def test_damaged_stamp_is_no_verification(host):
    host.make_whole()
    (host.root / "verified.json").write_text("{")
    assert host.look()["pending"] == {"verify": "the record of its verification can't be read"}


def test_another_image_asks_for_image_and_container(host):
    host.make_whole()
    host.objects[1]["Id"] = "sha256:" + "b" * 64
    assert set(host.look()["pending"]) == {"telechat_image", "telechat_container"}


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"telechat_container": {"privileged": True}}, "the container has to be made anew: it differs in privileged"),
        ({"verify": {"always": True}}, "the self-tests would compute beside it"),
        ({"docker_engine": {"daemon_config": {"a": 1}}}, "docker_engine_daemon_config asks for a restart of Docker"),
    ],
    ids=["container", "verify", "engine"],
)
def test_what_would_disturb_a_running_job_is_a_problem(host, changes, rule):
    host.make_whole()
    assert host.look(**changes)["problems"] == []
    lease = host.root / "jobs" / "lease.json"
    lease.write_text('{"job_id": "7", "owner": "lin", "since": "10:00"}')
    with lease.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        problems = host.look(**changes)["problems"]
    assert [problem.check for problem in problems] == ["job lease"]
    assert problems[0].value.startswith("job 7 of lin since 10:00 runs ")
    assert problems[0].rule.startswith(rule)


def test_the_runtime_is_replaced_under_a_job_and_the_self_tests_wait_for_its_end(host):
    host.make_whole()
    stale = {"telechat_runtime": {"files": {"/x.pyz": "1"}}}
    scope = ["telechat_runtime", "verify"]
    free = host.look(**stale)
    assert list(stack_look.spread(free["pending"], scope, free["alone"])) == scope
    lease = host.root / "jobs" / "lease.json"
    lease.write_text('{"job_id": "7", "owner": "lin", "since": "10:00"}')
    with lease.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        busy = host.look(**stale)
    assert busy["problems"] == []
    assert list(stack_look.spread(busy["pending"], scope, busy["alone"])) == ["telechat_runtime"]


@pytest.mark.parametrize(
    ("wanted", "pending"),
    [
        ({}, "it does not start at boot"),
        ({"log-driver": "local"}, "it does not start at boot"),
        ({"runtimes": {"a": {"path": "/a"}}}, "it does not start at boot"),
        ({"log-driver": "journald"}, "daemon.json differs in log-driver"),
        ({"runtimes": {"b": {"path": "/b"}}}, "daemon.json differs in runtimes"),
    ],
)
def test_daemon_configuration(host, wanted, pending):
    host.make_whole()
    found = host.look(docker_engine={"daemon_config": wanted})
    assert found["pending"]["docker_engine"] == pending


def test_a_container_without_its_unit_is_work_that_leaves_the_container_and_its_verification(host, monkeypatch):
    host.make_whole()
    monkeypatch.setattr(stack_look.container_unit, "stale", lambda _files: ["/etc/systemd/system/x.service"])
    found = host.look()
    assert found["pending"] == {"telechat_container": "differs: /etc/systemd/system/x.service"}
    assert found["alone"] == ["telechat_container"]


def test_docker_is_restarted_only_for_what_it_does_not_reload(host):
    def leaves_the_rest_alone(wanted):
        return host.look(docker_engine={"daemon_config": wanted})["alone"] == ["docker_engine"]

    host.make_whole()
    assert leaves_the_rest_alone({"live-restore": True, "runtimes": {"b": {"path": "/b"}}})
    assert leaves_the_rest_alone({"log-driver": "local"}), "it is so already"
    assert not leaves_the_rest_alone({"live-restore": True, "log-driver": "journald"})


def test_live_restore_that_is_a_flag_of_the_unit_is_not_wanted_in_the_file(host):
    host.make_whole()
    wanted = {"daemon_config": {"live-restore": True}}
    assert host.look(docker_engine=wanted)["pending"]["docker_engine"] == "daemon.json differs in live-restore"
    host.unit = host.unit.replace("fd://", "fd:// --live-restore")
    assert host.look(docker_engine=wanted)["pending"]["docker_engine"] == "it does not start at boot"


def test_an_engine_that_does_not_answer_is_started_and_not_installed(host):
    host.result = Result(1, "", "Cannot connect to the Docker daemon")
    found = host.look(docker_engine={})
    reason = "the engine does not answer: Cannot connect to the Docker daemon"
    assert (found["pending"]["docker_engine"], found["problems"]) == (reason, [])
    assert found["facts"]["docker_engine"] == {"installed": True, "reachable": False}


def test_a_client_without_an_engine_is_refused(host):
    host.result = Result(1, "", "Cannot connect to the Docker daemon")
    host.unit = "LoadState=not-found\n"
    (problem,) = host.look(docker_engine={})["problems"]
    assert "its client is there, and systemd's nothing-of-this-name is not-found" in problem.value


def test_a_site_that_installs_docker_itself_is_told_where_it_is_missing(host):
    host.result = Result(127, "", "")
    (problem,) = host.look(docker_engine={"install": False})["problems"]
    assert (problem.value, problem.rule[:28]) == ("docker is not installed", "docker_engine_install: false")


def test_an_engine_that_systemd_does_not_start_is_used_with_a_caution(host):
    host.make_whole()
    host.unit = "LoadState=not-found\n"
    found = host.look(docker_engine={})
    assert (found["pending"], found["problems"]) == ({}, [])
    assert found["cautions"][0].value == "Docker runs, and systemd has no unit nothing-of-this-name"


@pytest.mark.parametrize("engine", ["podman", "isula", "nerdctl"])
def test_another_engine_under_the_name_of_docker_is_refused_by_name(host, engine):
    host.make_whole()
    (host.root / engine).write_bytes(b"\x7fELF")
    (host.root / "docker").symlink_to(engine)
    (host.root / "shim").write_text(f'#!/bin/sh\necho Emulate >&2\nexec /usr/bin/{engine} "$@"\n')
    (host.root / "ours").write_text("#!/bin/sh\nexec /usr/bin/docker-podman-is-elsewhere\n")
    for name in ("docker", "shim"):
        (problem,) = host.look(docker_engine={"cli": str(host.root / name)})["problems"]
        assert problem.value == f"it is {engine}"
    assert host.look(docker_engine={"cli": str(host.root / "ours")})["problems"] == []


@pytest.mark.parametrize(("text", "value"), [("{", "Expecting property name"), ("[]", "no object")])
def test_daemon_configuration_that_can_not_be_merged(host, text, value):
    (host.root / "daemon.json").write_text(text)
    found = host.look(docker_engine={"daemon_config": {"a": 1}})
    assert value in found["problems"][0].value
    assert host.look(docker_engine={})["problems"] == []


def test_weights_that_do_not_fit(host):
    item = {"name": "a", "url": "http://192.0.2.1/a", "sha256": "ab" * 32, "size": 10**18}
    problem = host.look(telechat_weights={"files": [item]})["problems"][0]
    assert (problem.check, problem.rule) == ("disk space", "the weights need 1000000000.0 GB")


def test_weights_whose_source_is_missing(host):
    item = {"name": "a", "path": "/nowhere/a", "sha256": "ab" * 32, "size": 1}
    assert host.look(telechat_weights={"files": [item]})["problems"][0].value == "/nowhere/a is missing"


def test_wrong_list_of_weights(host):
    found = host.look(telechat_weights={"files": [{"name": "a", "sha256": "x", "size": 1}]})
    assert found["problems"][0].value == "weights file a: give either url or path"


def test_archive_on_the_host_that_is_none(host):
    wish = {"archive_on_host": str(host.root / "daemon.json"), "ids": []}
    assert "is no image archive" in host.look(telechat_image=wish)["problems"][0].value


def test_archive_on_the_host_that_is_not_named(host):
    (problem,) = host.look(telechat_image={"ids": []})["problems"]
    assert (problem.check, problem.value) == ("telechat_image_archive", "it is empty")


def test_archive_of_the_control_side_that_is_not_there_is_a_problem_and_no_templating_error(host):
    (problem,) = host.look(telechat_image={"ids": [], "archive_problem": "No such file: /a.tar"})["problems"]
    assert problem.value == "No such file: /a.tar"
    assert "name that file in telechat_image_archive" in problem.next_step


def test_without_a_container_jobs_run_on_the_host(host):
    found = host.look(telechat_container={"container_name": ""}, telechat_image={"image_name": ""})
    assert "telechat_container" not in found["pending"]
    assert "telechat_image" not in found["pending"]


def test_spread_follows_what_stands_on_what():
    assert stack_look.spread({"telechat_image": "no image"}, ROLES) == {
        "telechat_image": "no image",
        "telechat_container": "stands on telechat_image",
        "telechat_runtime": "stands on telechat_container",
        "verify": "stands on telechat_image, telechat_container, telechat_runtime",
    }
    assert stack_look.spread({"docker_engine": "live-restore"}, ROLES, alone=["docker_engine"]) == {
        "docker_engine": "live-restore"
    }
    assert stack_look.spread({"telechat_weights": "w"}, ROLES) == {"telechat_weights": "w"}
    assert stack_look.spread({"ascend_hdk": "h"}, ["ascend_hdk"]) == {"ascend_hdk": "h"}


@given(st.sets(st.sampled_from(ROLES)), st.sets(st.sampled_from(ROLES)))
def test_spread_keeps_what_is_pending_and_stays_in_scope(pending, scope):
    spreading = stack_look.spread(dict.fromkeys(pending, "x"), scope)
    assert pending <= set(spreading) <= pending | scope
    assert list(spreading) == [role for role in ROLES if role in spreading]
    assert stack_look.spread(spreading, scope) == spreading
