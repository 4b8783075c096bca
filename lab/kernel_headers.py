# SPDX-License-Identifier: Apache-2.0
"""A stand-in `linux-headers-<uname -r>` package.

The hosts see the outer machine's kernel, for which a sandbox or cloud kernel has no package in Debian. The stand-in has
what tools look for: /lib/modules/<uname -r>/build with a Makefile that compiles the modules named in obj-m, so that
DKMS builds run a real compiler. The result has a module's shape; no kernel loads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.process import run

if TYPE_CHECKING:
    from pathlib import Path

MAKEFILE = """\
# Stand-in for a kernel's build tree: compiles each module of obj-m to a .ko.
M ?= $(CURDIR)
KERNELRELEASE := {release}
export KERNELRELEASE
-include $(if $(wildcard $(M)/Kbuild),$(M)/Kbuild,$(M)/Makefile)
MODULES := $(patsubst %.o,$(M)/%.ko,$(obj-m))

.DEFAULT_GOAL := modules
.PHONY: modules modules_install clean kernelrelease
modules: $(MODULES)

$(M)/%.ko: $(M)/%.c
\t$(CC) -c -O2 -ffreestanding -fno-pic -DMODULE -DKBUILD_MODNAME='"$*"' -I/lib/modules/{release}/build/include -o $@ $<

modules_install: $(MODULES)
\tinstall -D -m 644 -t /lib/modules/{release}/extra $(MODULES)

clean:
\trm -f $(MODULES)

kernelrelease:
\t@echo {release}
"""

MODULE_H = """\
/* Stand-in: a module's information goes into .modinfo, as in the kernel. */
#pragma once
#define LAB_MODINFO_NAME_(line) lab_modinfo_##line
#define LAB_MODINFO_NAME(line) LAB_MODINFO_NAME_(line)
#define MODULE_INFO_(tag, info) \\
  static const char LAB_MODINFO_NAME(__COUNTER__)[] __attribute__((used, section(".modinfo"))) = #tag "=" info
#define MODULE_LICENSE(text) MODULE_INFO_(license, text)
#define MODULE_AUTHOR(text) MODULE_INFO_(author, text)
#define MODULE_DESCRIPTION(text) MODULE_INFO_(description, text)
#define MODULE_VERSION(text) MODULE_INFO_(version, text)
#define module_init(function) int init_module(void) __attribute__((alias(#function)))
#define module_exit(function) void cleanup_module(void) __attribute__((alias(#function)))
#define THIS_MODULE ((struct module *)0)
#define __init
#define __exit
struct module;
"""

INCLUDES = {
    "linux/module.h": MODULE_H,
    "linux/init.h": "#pragma once\n#include <linux/module.h>\n",
    "linux/kernel.h": "#pragma once\nint _printk(const char *format, ...);\n#define printk _printk\n",
}


def tree(release: str) -> dict[str, str]:
    """Return the package's files, path -> text."""
    build = f"usr/src/linux-headers-{release}"
    files = {f"{build}/include/{name}": text for name, text in INCLUDES.items()}
    files[f"{build}/Makefile"] = MAKEFILE.format(release=release)
    files[f"{build}/.config"] = "CONFIG_MODULES=y\n"
    files[f"{build}/include/generated/utsrelease.h"] = f'#define UTS_RELEASE "{release}"\n'
    files[f"{build}/include/config/kernel.release"] = f"{release}\n"
    return files


def control(release: str, architecture: str) -> str:
    """Return the package's control file."""
    return (
        f"Package: linux-headers-{release}\n"
        "Version: 1\n"
        f"Architecture: {architecture}\n"
        "Maintainer: telechat-ascend lab\n"
        "Section: kernel\n"
        "Priority: optional\n"
        "Provides: linux-headers\n"
        f"Description: stand-in for the headers of kernel {release}\n"
        " Lets DKMS and driver installers run on a host of the lab. Nothing built with it can be loaded.\n"
    )


def build(folder: Path, work: Path, *, release: str, architecture: str) -> None:
    """Make the package in a folder, using an empty work folder."""
    for name, text in tree(release).items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    link = work / "lib/modules" / release / "build"
    link.parent.mkdir(parents=True)
    link.symlink_to(f"/usr/src/linux-headers-{release}")
    (work / "DEBIAN").mkdir()
    (work / "DEBIAN/control").write_text(control(release, architecture))
    package = folder / f"linux-headers-{release}_1_{architecture}.deb"
    # --nocheck: some kernels' release has capitals, which a name in Debian's archive may not have.
    run(["dpkg-deb", "--build", "--nocheck", "--root-owner-group", work, package])
