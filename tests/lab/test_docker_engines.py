# SPDX-License-Identifier: Apache-2.0
"""Servers on which somebody else has installed Docker: the engine that works is used, and starts at the next boot."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab.site import BIN, ROOT, Site, flat, new_site, recap, run

pytestmark = pytest.mark.lab

OPENEULER, DOCKER_CE = "node0", "node1"
OLD_CLIENT = "/usr/local/bin/docker"
INSTALL = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y docker.io >/dev/null 2>&1"
# As openEuler's docker-engine has it: the unit's flags are in its sysconfig file.
SYSCONFIG = 'OPTIONS="--live-restore \\\n --log-driver=journald"\n'
DROP_IN = """[Service]
EnvironmentFile=-/etc/sysconfig/docker
ExecStart=
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $OPTIONS
"""
# As an administrator has it who copied Docker's programs and units, and as docker-ce's packages have it.
DOCKER_CE_PACKAGES = """
set -e
keep=$(mktemp -d)
files="/usr/sbin/dockerd /usr/bin/docker /usr/sbin/docker-proxy /usr/bin/docker-proxy /usr/bin/containerd
  /usr/bin/containerd-shim-runc-v2 /usr/sbin/runc /usr/libexec/docker /lib/systemd/system/docker.service
  /lib/systemd/system/docker.socket /lib/systemd/system/containerd.service"
tar -C / -cf "$keep/engine.tar" $(ls -d $files 2>/dev/null)
systemctl stop docker docker.socket containerd
DEBIAN_FRONTEND=noninteractive apt-get purge -qq -y docker.io containerd runc >/dev/null 2>&1
tar -C / -xf "$keep/engine.tar"
package() {
  mkdir -p "$keep/$1/DEBIAN"
  printf 'Package: %s\\nVersion: 5:20.10\\nArchitecture: all\\nMaintainer: a site\\nDescription: %s\\n' "$1" "$1" \
    > "$keep/$1/DEBIAN/control"
  printf 'Provides: %s\\nConflicts: %s\\nReplaces: %s\\n' "$2" "$2" "$2" >> "$keep/$1/DEBIAN/control"
  dpkg-deb --build "$keep/$1" "$keep/$1.deb" >/dev/null
  dpkg -i "$keep/$1.deb" >/dev/null
}
package containerd.io "containerd, runc"
package docker-ce docker.io
groupadd --system --force docker
systemctl daemon-reload
systemctl enable --quiet docker
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Two servers with an engine of their administrators' own; site.yml has run."""
    with new_site("docker-engines", "--hosts", "2", "--chips", "1") as site:
        client = (ROOT / "lab" / "docker_18_09.py").read_text()
        _put(site, OPENEULER, "/etc/sysconfig/docker", SYSCONFIG)
        _put(site, OPENEULER, "/etc/systemd/system/docker.service.d/openeuler.conf", DROP_IN)
        _put(site, OPENEULER, OLD_CLIENT, client, mode="755")
        for host in (OPENEULER, DOCKER_CE):
            site.on(host, "sh", "-c", INSTALL)
        site.on(DOCKER_CE, "sh", "-c", DOCKER_CE_PACKAGES)
        _put(site, OPENEULER, "/etc/apt/sources.list.d/elsewhere.list", "deb [trusted=yes] http://127.0.0.1:9/apt ./\n")
        _put(site, DOCKER_CE, "/etc/systemd/system/ssh.service.d/umask.conf", "[Service]\nUMask=0077\n")
        site.on(DOCKER_CE, "sh", "-c", "systemctl daemon-reload && systemctl restart ssh")
        (site.inventory / "host_vars").mkdir(exist_ok=True)
        (site.inventory / "host_vars" / f"{OPENEULER}.yml").write_text(f"docker_engine_cli: {OLD_CLIENT}\n")
        result = site.play("site.yml")
        assert result.returncode == 0, result.stdout[-6000:] + result.stderr
        yield site


def _put(site: Site, host: str, path: str, text: str, mode: str = "644") -> None:
    script = 'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1" && chmod "$3" "$1"'
    site.on(host, "sh", "-c", script, "put", path, text, mode)


def daemon_config(site: Site, host: str) -> dict[str, object]:
    config = json.loads(site.on(host, "cat", "/etc/docker/daemon.json"))
    assert isinstance(config, dict)
    return config


def keeps_containers(site: Site, host: str) -> bool:
    return site.on(host, "docker", "info", "--format", "{{.LiveRestoreEnabled}}").strip() == "true"


def test_docker_starts_after_a_reboot_where_live_restore_is_a_flag_of_its_unit(site: Site) -> None:
    assert "live-restore" not in daemon_config(site, OPENEULER)
    assert keeps_containers(site, OPENEULER)
    inside = site.inside(BIN / "ansible", "-i", site.inventory, "all", "-m", "ansible.builtin.reboot")
    rebooted = run(inside, log="docker-engines-lab")
    assert rebooted.returncode == 0, rebooted.stdout
    verified = site.play("playbooks/verify.yml")
    assert verified.returncode == 0, verified.stdout[-6000:]
    assert keeps_containers(site, OPENEULER)


def test_client_of_18_09_runs_the_container(site: Site) -> None:
    assert "unknown flag: --pull" in site.on(
        OPENEULER, "sh", "-c", "docker run --pull=never telechat-ms:1.0 2>&1 || true"
    )
    assert "Up " in site.on(OPENEULER, "docker", "ps", "--filter", "name=telechat", "--format", "{{.Status}}")


def test_docker_ce_is_used_and_not_installed_over(site: Site) -> None:
    assert daemon_config(site, DOCKER_CE)["live-restore"] is True
    assert keeps_containers(site, DOCKER_CE)
    packages = site.on(DOCKER_CE, "dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n")
    assert "docker-ce installed" in packages
    assert "docker.io installed" not in packages


def test_a_source_of_apt_that_does_not_answer_holds_nothing_up(site: Site) -> None:
    assert "127.0.0.1:9" in site.on(OPENEULER, "sh", "-c", "apt-get update 2>&1 || true")
    assert site.on(OPENEULER, "dpkg-query", "-W", "-f", "${db:Status-Status}", "dkms") == "installed"


def test_a_umask_of_077_hides_nothing_from_the_users_of_the_server(site: Site) -> None:
    assert site.on(DOCKER_CE, "sh", "-c", "umask").strip() == "0077"
    paths = "/etc/docker /etc/docker/daemon.json /var/lib/telechat /var/lib/telechat/verified.json /opt/telechat"
    paths += " /opt/telechat/telechat-run.pyz /data03 /data03/cpu-shim /usr/local/sbin/npu-smi"
    hidden = site.on(DOCKER_CE, "find", *paths.split(), "-maxdepth", "0", "!", "-perm", "-o=r")
    assert hidden == ""


def test_nothing_is_left_to_do(site: Site) -> None:
    result = site.play("site.yml")
    assert result.returncode == 0, result.stdout[-6000:]
    assert [recap(result)[host].changed for host in (OPENEULER, DOCKER_CE)] == [0, 0]


def test_configuration_that_the_engine_refuses_is_put_back(site: Site) -> None:
    before = daemon_config(site, OPENEULER)
    wish = json.dumps({"docker_engine_daemon_config": {"no-such-setting": "x"}})
    result = site.play("playbooks/container.yml", "--limit", OPENEULER, "-e", wish)
    assert result.returncode != 0
    assert "no-such-setting" in flat(result.stdout)
    assert daemon_config(site, OPENEULER) == before
    assert keeps_containers(site, OPENEULER)


def test_a_flag_that_says_otherwise_is_named_before_anything_is_touched(site: Site) -> None:
    wish = json.dumps({"docker_engine_daemon_config": {"log-driver": "local"}})
    result = site.play("playbooks/container.yml", "--limit", OPENEULER, "-e", wish)
    assert result.returncode != 0
    assert "--log-driver" in flat(result.stdout)
    assert recap(result)[OPENEULER].changed == 0


def test_engine_that_is_stopped_is_started(site: Site) -> None:
    site.on(DOCKER_CE, "systemctl", "stop", "docker.socket", "docker")
    result = site.play("site.yml")
    assert result.returncode == 0, result.stdout[-6000:]
    assert keeps_containers(site, DOCKER_CE)
    assert "docker.io installed" not in site.on(DOCKER_CE, "dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n")
