# SPDX-License-Identifier: Apache-2.0
"""What no vendor's script does: only what is on the list goes."""

import pytest
from ansible.module_utils.hdk import clean as hdk_clean
from ansible.module_utils.hdk.state import CLEAN, Step
from ansible.module_utils.hdk.steps import StepError

from tests.unit.plugins.module_utils.hdk.step_host import step_host


@pytest.fixture
def host(tmp_path, monkeypatch):
    return step_host(tmp_path, monkeypatch, "clean")


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put a program on PATH that notes its arguments and then does what a test wrote down."""
    calls = tmp_path / "calls"

    def write(name, does):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {calls}\n{does}\n')
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return lambda: calls.read_text().splitlines()

    return write


def step(action, *targets):
    return Step(action, None, None, "why", targets=targets)


@pytest.mark.parametrize(
    "path",
    [
        "/usr/local/Ascend",
        "/usr/local/Ascend/ascend-toolkit",
        "/usr/local/Ascend/driver/../ascend-toolkit",
        "/usr/local/sbin",
        "/etc/hccn.conf",
        "/mnt/model",
        "/var/lib/dkms",
        "/usr/src/davinci_ascend-1/../linux",
        "/lib/modules/6.1/kernel/drv_x.ko",
        "/",
    ],
)
def test_what_is_not_on_the_list_stays_and_so_does_everything_else_of_the_step(host, path):
    assert not hdk_clean.removable(path)
    with pytest.raises(StepError, match="is not removed unasked; remove it by hand"):
        hdk_clean.clean(step(CLEAN, "/usr/src/davinci_ascend-absent", path), host)


@pytest.mark.parametrize(
    "path",
    [
        "/usr/local/Ascend/driver",
        "/usr/local/Ascend/firmware",
        "/var/lib/dkms/davinci_ascend",
        "/usr/src/davinci_ascend-1.0",
        "/usr/local/sbin/npu-smi",
        "/usr/local/bin/npu-smi",
        "/lib/modules/5.10.0-60.aarch64/updates/drv_pcie_host.ko",
        "/lib/modules/5.10.0-60.aarch64/updates/dkms/drv_pcie_host.ko.xz",
        "/lib/modules/5.10.0-60.aarch64/extra/drv_pcie_host.ko",
        "/etc/systemd/system/multi-user.target.wants/host_sys_init.service",
        "/etc/ascend_install.info",
    ],
)
def test_the_list(path):
    assert hdk_clean.removable(path)


def test_a_leftover_tree_goes_after_dkms_was_asked_even_when_dkms_fails(tmp_path, host, monkeypatch, program):
    tree = tmp_path / "dkms" / "davinci_ascend"
    (tree / "1.0" / "build").mkdir(parents=True)
    source = tmp_path / "src" / "davinci_ascend-1.0"
    source.mkdir(parents=True)
    monkeypatch.setattr(hdk_clean, "DKMS_TREE", str(tree))
    monkeypatch.setattr(hdk_clean, "REMOVABLE", (str(tree),))
    monkeypatch.setattr(hdk_clean, "_DKMS_SOURCES", str(tmp_path / "src" / "davinci_ascend-*"))
    calls = program("dkms", "exit 3")
    hdk_clean.clean(step(CLEAN, str(tree)), host)
    assert calls() == ["dkms remove -m davinci_ascend -v 1.0 --all"]
    assert not tree.exists()
    assert not source.exists()


def test_immutable_flags_are_taken_away_before_anything_is_removed(tmp_path, host, monkeypatch, program):
    target = tmp_path / "npu-smi"
    target.write_text("")
    monkeypatch.setattr(hdk_clean, "REMOVABLE", (str(tmp_path) + "/.*",))
    calls = program("chattr", f"test -e {target} && echo there >> {tmp_path}/calls")
    hdk_clean.clean(step(CLEAN, str(target), str(tmp_path / "absent")), host)
    assert calls() == [f"chattr -R -f -i -- {target}", "there"]
    assert not target.exists()


def test_an_immutable_file_that_stays_is_named_with_chattr(host, monkeypatch):
    def refuse(path):
        raise PermissionError(1, "Operation not permitted", f"{path}/version.info")

    monkeypatch.setattr(hdk_clean, "REMOVABLE", ("/usr/local/Ascend/driver",))
    monkeypatch.setattr(hdk_clean, "remove", refuse)
    with pytest.raises(
        StepError, match=r"driver/version\.info can't be removed: Operation not permitted; chattr -R -i"
    ):
        hdk_clean.clean(step(CLEAN, "/usr/local/Ascend/driver"), host)


@pytest.mark.parametrize("kind", ["file", "folder", "link to a folder", "nothing"])
def test_removed_whatever_it_is(tmp_path, kind):
    target, kept = tmp_path / "npu-smi", tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("")
    if kind == "file":
        target.write_text("")
    elif kind == "folder":
        (target / "in").mkdir(parents=True)
    elif kind == "link to a folder":
        target.symlink_to(kept)
    hdk_clean.remove(str(target))
    assert not target.exists()
    assert not target.is_symlink()
    assert (kept / "file").exists()
