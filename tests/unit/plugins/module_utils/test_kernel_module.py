# SPDX-License-Identifier: Apache-2.0

import os

import pytest
from ansible.module_utils.command_result import Result
from ansible.module_utils.kernel_module import BuildError, build, known_cause

from tests.unit.plugins.module_utils.scripted_host import ScriptedHost

KERNEL = "6.8.0-139-generic"
COMMAND = f"dkms install --force -m davinci_ascend -v 1.0 -k {KERNEL}"


@pytest.fixture
def host(tmp_path):
    return ScriptedHost(tmp_path)


def fail(host):
    with pytest.raises(BuildError) as caught:
        build(host.run, "1.0", KERNEL, host.root)
    return str(caught.value)


def test_the_module_that_dkms_made_is_named(host):
    def dkms(argv):
        host.write(f"lib/modules/{KERNEL}/updates/dkms/drv_pcie_host.ko", "")
        assert " ".join(argv) == COMMAND
        return Result(0, "", "")

    assert build(dkms, "1.0", KERNEL, host.root).endswith(f"{KERNEL}/updates/dkms/drv_pcie_host.ko")


def test_a_success_without_a_module_is_none(host):
    host.answer(COMMAND, "Installing to /lib/modules\n")
    assert "dkms made no drv_pcie_host.ko" in fail(host)


@pytest.mark.parametrize("place", ["build/make.log", f"{KERNEL}/{os.uname().machine}/log/make.log"])
def test_the_compilers_log_has_the_cause(host, place):
    host.answer(COMMAND, "Building module:\nError! Bad return status for module build on kernel\n", rc=10)
    host.write(
        f"var/lib/dkms/davinci_ascend/1.0/{place}",
        "svm.c:12:9: error: implicit declaration of function 'follow_pfn'; did you mean 'follow_pte'?\n",
    )
    words = fail(host)
    assert f"kernel {KERNEL}: the driver's source does not know this kernel (implicit declaration of function" in words
    assert "take an HDK release that knows this one" in words
    assert words.endswith(f"(its output: {host.root}/var/log/ascend-hdk/dkms-{KERNEL}.log)")


def test_a_failed_build_leaves_nothing_that_an_installer_stumbles_over(host, tmp_path):
    host.write("var/lib/dkms/davinci_ascend/1.0/build/make.log", "x.c:1: error: something\n")
    host.answer(COMMAND, "", rc=10)
    fail(host)
    assert not (tmp_path / "var/lib/dkms/davinci_ascend/1.0/build").exists()
    assert "error: something" in (tmp_path / f"var/log/ascend-hdk/dkms-{KERNEL}.log").read_text()


def test_an_old_log_does_not_hide_what_dkms_says_itself(host):
    host.write("var/lib/dkms/davinci_ascend/1.0/build/make.log", "x.c:1: error: something else\n")
    host.answer(COMMAND, "", rc=1, stderr=f"Error! Your kernel headers for kernel {KERNEL} cannot be found at /lib\n")
    assert "DKMS finds no headers of this kernel" in fail(host)


def test_without_dkms_the_cause_is_that(host):
    assert "dkms ended with 127: dkms: not found" in fail(host)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("cc1: error: unrecognized command line option '-mno-fdpic'", "the compiler is too old or too new"),
        ("gcc: error: unrecognized command-line option '-ftrivial-auto-var-init=zero'", "the compiler is too old"),
        ("/bin/sh: 1: gcc-12: not found\nmake[2]: *** [x.o] Error 127", "a tool of the build is missing (gcc-12: not"),
        ("a.c:3:10: fatal error: linux/genhd.h: No such file or directory", "a header file is missing"),
        ("a.c:9:2: error: too few arguments to function 'class_create'", "the driver's source does not know"),
        ('ERROR: modpost: "follow_pfn" [x.ko] undefined!', "this kernel lacks what it uses"),
        ("cc1: fatal error: error writing to /tmp/x.s: No space left on device", "the disk is full"),
        ("a.c:9:2: error: expected ';' before 'x'", "does not compile for this kernel (error: expected"),
    ],
)
def test_known_causes(text, cause):
    assert cause in known_cause(text).cause


def test_an_unknown_text_has_no_cause():
    assert known_cause("make: Leaving directory") is None
