# SPDX-License-Identifier: Apache-2.0
"""The whole story on two hosts: bare servers, site.yml, finetune; and what users do wrong on the way.

The tests stand in the order of the story and share its two servers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.site import AT_WORK, Site, eventually, interrupt, new_site, recap, report_of, run

pytestmark = pytest.mark.lab

HOSTS = ("node0", "node1")
LONG = ("--epochs", "500", *(word for name, value in AT_WORK.items() for word in ("--env", f"{name}={value}")))


@pytest.fixture(scope="module")
def bare() -> Iterator[Site]:
    """Two servers as they come from the data centre."""
    with new_site("story", "--hosts", "2") as site:
        yield site


@pytest.fixture(scope="module")
def check_run(bare: Site) -> str:
    """The output of site.yml --check on the bare servers, which has to come before the real run."""
    result = bare.play("site.yml", "--check")
    assert result.returncode == 0, result.stdout + result.stderr
    for host in HOSTS:
        assert "Ascend" not in bare.on(host, "ls", "/usr/local")
        assert "docker" not in bare.on(host, "ls", "/usr/bin")
    return result.stdout


@pytest.fixture(scope="module")
def site(bare: Site, check_run: str) -> Site:
    """The servers after site.yml."""
    del check_run
    result = bare.play("site.yml")
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr
    return bare


def test_check_mode_shows_the_guides_order_for_a_bare_server(check_run: str) -> None:
    steps = [check_run.find(word) for word in ("driver", "firmware")]
    assert -1 not in steps
    assert steps == sorted(steps)


def test_bare_servers_run_the_wanted_driver_and_firmware(site: Site) -> None:
    for host in HOSTS:
        for chip in range(8):
            board = site.on(host, "npu-smi", "info", "-t", "board", "-i", str(chip))
            assert "Software Version               : 24.1.rc3" in board
            assert "Firmware Version               : 7.5.0.1.129" in board


def test_fresh_servers_rebooted_once_after_the_driver_and_once_after_the_firmware(site: Site) -> None:
    assert list(site.boots().values()) == [3, 3]


def test_container_is_not_privileged_and_sees_the_chips(site: Site) -> None:
    for host in HOSTS:
        assert site.on(host, "docker", "inspect", "-f", "{{.HostConfig.Privileged}}", "telechat").strip() == "false"
        assert "davinci7" in site.on(host, "docker", "exec", "telechat", "ls", "/dev")
        assert "910B2" in site.on(host, "docker", "exec", "telechat", "npu-smi", "info")


def test_second_run_changes_nothing_and_leaves_after_one_look(site: Site) -> None:
    result = site.play("site.yml")
    assert result.returncode == 0, result.stdout + result.stderr
    hosts = recap(result)
    for host in HOSTS:
        assert hosts[host].changed == 0
        assert hosts[host].failed == 0
    # What is done once for the fleet counts as the first host's.
    assert hosts["node1"].ok <= 2


def test_nodes_shows_the_cluster_of_the_inventory(site: Site) -> None:
    cluster = json.loads(site.telechat("nodes", "--json").stdout)
    assert [(node["name"], node["node_rank"], node["npu_count"]) for node in cluster["nodes"]] == [
        ("node0", 0, 8),
        ("node1", 1, 8),
    ]


def test_dry_run_shows_each_nodes_command_and_starts_nothing(site: Site) -> None:
    result = site.telechat("finetune", *site.finetune_options("--dry-run"))
    assert result.returncode == 0, result.stderr
    assert "--node_rank=0" in result.stdout
    assert "--node_rank=1" in result.stdout
    assert "--join=True" in result.stdout
    assert json.loads(site.telechat("status", "--json").stdout)["jobs"] == []


def test_finetune_on_both_servers_learns(site: Site) -> None:
    result = site.telechat("finetune", *site.finetune_options("--json"))
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["state"] == "SUCCEEDED"
    assert [node["state"] for node in report["nodes"]] == ["SUCCEEDED", "SUCCEEDED"]
    assert report["steps"] >= 30
    assert report["last_loss"] < report["first_loss"] * 0.8
    assert "loss" in site.telechat("logs", report["job_id"]).stdout
    for host in HOSTS:
        assert site.job_processes(host) == []


def test_second_job_is_refused_with_the_owners_name_and_stop_ends_the_first(site: Site) -> None:
    job = site.start_finetune(*LONG)
    refused = site.telechat("finetune", *site.finetune_options())
    assert refused.returncode == 5
    holder = json.loads(site.telechat("status", "--json").stdout)["jobs"][0]
    assert f"busy: {holder['owner']}" in refused.stderr
    assert "Traceback" not in refused.stderr
    stopped = site.telechat("stop", holder["job_id"])
    assert stopped.returncode == 0, stopped.stderr
    report = report_of(job)
    assert job.returncode == 1
    assert report["state"] == "STOPPED"
    for host in HOSTS:
        assert site.job_processes(host) == []


def test_killed_worker_stops_all_nodes_and_is_named(site: Site) -> None:
    job = site.start_finetune(*LONG)
    worker = next(line for line in site.job_processes("node1") if "run_mindformer.py" in line and "msrun" not in line)
    site.on("node1", "kill", "-9", worker.split()[0])
    report = report_of(job)
    assert job.returncode == 1
    assert report["first_failure"] == "node1"
    assert "SIGKILL" in next(node["reason"] for node in report["nodes"] if node["name"] == "node1")
    for host in HOSTS:
        assert site.job_processes(host) == []


def test_ctrl_c_stops_the_job_everywhere(site: Site) -> None:
    job = site.start_finetune(*LONG)
    interrupt(job)
    report_of(job)
    assert job.returncode == 130
    for host in HOSTS:
        assert site.job_processes(host) == []


def test_missing_dataset_is_reported_for_every_node_before_anything_starts(site: Site) -> None:
    site.on("node1", "mv", "/data03/demo-dataset", "/data03/elsewhere")
    try:
        refused = site.telechat("finetune", *site.finetune_options())
    finally:
        site.on("node1", "mv", "/data03/elsewhere", "/data03/demo-dataset")
    assert refused.returncode == 5
    assert "node1: /mnt/model/demo-dataset does not exist" in refused.stderr
    assert "node0:" not in refused.stderr


def test_changed_host_key_is_refused(site: Site, tmp_path: Path) -> None:
    keys = tmp_path / "known_hosts"
    lines = (site.state / "known_hosts").read_text().splitlines()
    first, second = (line.split() for line in lines[:2])
    keys.write_text(f"{first[0]} {second[1]} {second[2]}\n{second[0]} {second[1]} {second[2]}\n")
    inventory = tmp_path / "hosts.yml"
    text = (site.inventory / "hosts.yml").read_text()
    inventory.write_text(text.replace(str(site.state / "known_hosts"), str(keys)))
    (tmp_path / "group_vars").symlink_to(site.inventory / "group_vars")
    argv = [word if word != str(site.inventory) else str(inventory) for word in site.telechat_argv("status")]
    refused = run(argv, log="story-telechat-status")
    assert refused.returncode == 4
    assert "node0" in refused.stderr
    assert "host key" in refused.stderr


def test_stopped_container_is_named_and_site_yml_starts_it_again(site: Site) -> None:
    site.on("node1", "docker", "stop", "-t", "1", "telechat")
    refused = site.telechat("finetune", *site.finetune_options())
    assert refused.returncode == 5
    assert "node1: the container 'telechat' is not running" in refused.stderr
    healed = site.play("site.yml")
    assert healed.returncode == 0, healed.stdout
    hosts = recap(healed)
    assert hosts["node0"].changed == 0
    assert hosts["node1"].changed > 0
    eventually(lambda: "telechat" in site.on("node1", "docker", "ps"))
