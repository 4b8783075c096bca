# SPDX-License-Identifier: Apache-2.0

import pytest
from ansible.module_utils.kernel_boot import grub_default, grub_menu, next_kernel
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.module_utils.scripted_host import ScriptedHost

OLD, NEW = "5.10.0-60.18.0.50.oe2203.aarch64", "5.10.0-216.0.0.115.oe2203.aarch64"
UUID = "8f4c1a52-7f2c-4f2e-9a71-0f7c86a3d9b1"

# As grub-mkconfig writes it on Debian and Ubuntu: the newest kernel on top, all of them in a submenu.
CONFIG = f"""\
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${{next_entry}}" ] ; then
   set default="${{next_entry}}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="@DEFAULT@"
fi
function savedefault {{
  if [ -z "${{boot_once}}" ]; then
    saved_entry="${{chosen}}"
    save_env saved_entry
  fi
}}
menuentry 'Ubuntu' --class ubuntu --class gnu-linux $menuentry_id_option 'gnulinux-simple-{UUID}' {{
\trecordfail
\tlinux\t/vmlinuz-6.8.0-139-generic root=UUID={UUID} ro quiet
\tinitrd\t/initrd.img-6.8.0-139-generic
}}
submenu 'Advanced options for Ubuntu' $menuentry_id_option 'gnulinux-advanced-{UUID}' {{
\tmenuentry 'Ubuntu, with Linux 6.8.0-139-generic' --class os $menuentry_id_option 'gnulinux-139-{UUID}' {{
\t\tlinux\t/boot/vmlinuz-6.8.0-139-generic root=UUID={UUID} ro
\t}}
\tmenuentry "Ubuntu, with Linux 6.8.0-31-generic" --class os $menuentry_id_option 'gnulinux-31-{UUID}' {{
\t\tif [ x$grub_platform = xxen ]; then insmod xzio; fi
\t\tlinux\t/boot/vmlinuz-6.8.0-31-generic root=UUID={UUID} ro
\t}}
}}
menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi-firmware' {{
\tfwsetup
}}
"""


@pytest.fixture
def host(tmp_path):
    return ScriptedHost(tmp_path)


def grub(default):
    return CONFIG.replace("@DEFAULT@", default)


def test_the_only_kernel_needs_no_question(host):
    host.write(f"boot/vmlinuz-{OLD}", "")
    assert next_kernel(host.run, "RedHat", host.root) == OLD
    assert host.asked == []


def test_no_kernel_on_disk_as_in_a_container(host):
    assert next_kernel(host.run, "Debian", host.root) is None


def test_grubby_says_it_on_openeuler(host):
    host.write(f"boot/vmlinuz-{OLD}", "")
    host.write(f"boot/vmlinuz-{NEW}", "")
    host.answer("grubby --default-kernel", f"/boot/vmlinuz-{OLD}\n")
    assert next_kernel(host.run, "RedHat", host.root) == OLD


@pytest.mark.parametrize("answer", [("", 1), ("/boot/vmlinuz-4.19.90-not-installed\n", 0), ("unexpected\n", 0)])
def test_the_newest_when_grubby_does_not_say(host, answer):
    host.write(f"boot/vmlinuz-{OLD}", "")
    host.write(f"boot/vmlinuz-{NEW}", "")
    host.answer("grubby --default-kernel", answer[0], rc=answer[1])
    assert next_kernel(host.run, "RedHat", host.root) == NEW


@pytest.mark.parametrize("folder", ["boot/grub", "boot/grub2", "boot/efi/EFI/openEuler"])
def test_grubs_menu_says_it_wherever_it_is(host, folder):
    host.write("boot/vmlinuz-6.8.0-31-generic", "")
    host.write("boot/vmlinuz-6.8.0-139-generic", "")
    host.write(f"{folder}/grub.cfg", grub("1>1"))
    assert next_kernel(host.run, "Debian", host.root) == "6.8.0-31-generic"
    host.write(f"{folder}/grubenv", "# GRUB Environment Block\nnext_entry=0\n#####")
    assert next_kernel(host.run, "Debian", host.root) == "6.8.0-139-generic"


@pytest.mark.parametrize(
    ("default", "environment", "release"),
    [
        ("0", "", "6.8.0-139-generic"),
        ("1>1", "", "6.8.0-31-generic"),
        ("1", "", "6.8.0-139-generic"),
        (f"gnulinux-advanced-{UUID}>gnulinux-31-{UUID}", "", "6.8.0-31-generic"),
        ("Advanced options for Ubuntu>Ubuntu, with Linux 6.8.0-31-generic", "", "6.8.0-31-generic"),
        ("${saved_entry}", "saved_entry=1>1\n", "6.8.0-31-generic"),
        ("${saved_entry}", "", "6.8.0-139-generic"),
        ("0", "next_entry=1>1\n", "6.8.0-31-generic"),
        ("0", "next_entry=\nsaved_entry=1>1\n", "6.8.0-139-generic"),
        ("a title that is gone", "", "6.8.0-139-generic"),
        ("7", "", "6.8.0-139-generic"),
        ("uefi-firmware", "", None),
    ],
)
def test_grubs_default(default, environment, release):
    assert grub_default(grub(default), environment) == release


def test_the_menu_is_read_with_its_submenus_and_without_its_functions():
    top = grub_menu(grub("0"))
    assert [entry.title for entry in top] == ["Ubuntu", "Advanced options for Ubuntu", "UEFI Firmware Settings"]
    assert [entry.kernel for entry in top[1].children] == ["6.8.0-139-generic", "6.8.0-31-generic"]


@given(st.text(alphabet="menuentry submenu'\"{}>\n$-id", max_size=200), st.text(max_size=40))
def test_no_grub_cfg_makes_the_look_fail(config, environment):
    grub_default(config, environment)
