# SPDX-License-Identifier: Apache-2.0
"""A host in a folder: files as given, and commands that answer what a test wrote down."""

from __future__ import annotations

from ansible.module_utils.command_result import Result

from tests.support.host_root import HostRoot

BOOT_ID = "6fd5f3f4-0e26-4b0c-9b34-2b7dbd4f2b21"


class ScriptedHost(HostRoot):
    """The root folder and `run` of a host; a command that nobody wrote down does not exist."""

    def __init__(self, root):
        super().__init__(root)
        self.answers = {}
        self.asked = []
        self.write("proc/sys/kernel/random/boot_id", BOOT_ID + "\n")
        self.write("proc/stat", "cpu 1 2 3\nbtime 1700000000\n")
        self.write("proc/1/stat", "1 (systemd (x)) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 200 9 9\n")

    def chip_on_bus(self, number, device="0xd802", vendor="0x19e5"):
        folder = f"sys/bus/pci/devices/0000:{number:02x}:00.0"
        self.write(f"{folder}/vendor", vendor + "\n")
        self.write(f"{folder}/device", device + "\n")

    def answer(self, command, stdout="", rc=0, stderr=""):
        """Write down what a command (as one line, without the root folder) prints."""
        self.answers[command] = Result(rc, stdout, stderr)

    def run(self, argv):
        command = " ".join(argv).replace(self.root, "")
        self.asked.append(command)
        return self.answers.get(command, Result(127, "", f"{argv[0]}: not found"))
