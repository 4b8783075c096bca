# SPDX-License-Identifier: Apache-2.0
"""upgrade-tool: the firmware that is on the chips."""

import os
import sys

from . import chips, files, kernel, paths, version

_USAGE = (
    "Usage: upgrade-tool --device_index <id|-1> <--component <type|-1> --version|--system_version|--hw_base_version>"
)
_WORDS = (["--version"], ["--system_version"], ["--hw_base_version"])


def main(arguments):
    """Print the versions asked for; returns the exit code."""
    options, words = _parse(arguments)
    if "--device_index" not in options or words not in _WORDS:
        print(_USAGE)
        return 1
    document, visible = chips.read(), kernel.visible_chips()
    if document["loaded"] is None or not visible:
        print("Get device count failed, please check that the driver is loaded.")
        return 1
    wanted = options["--device_index"]
    found = [c for c in document["chips"] if c["id"] in visible and wanted in ("-1", str(c["id"]))]
    if not found:
        print("Invalid device_index({}).".format(wanted))
        return 1
    for chip in found:
        print("\n".join(_lines(document, chip, words[0])))
    return 0


def _lines(document, chip, word):
    if word == "--system_version":
        return _system(document, chip)
    return _component(chip) if word == "--version" else _base(document, chip)


def _base(document, chip):
    number = version.base_number(chips.flash_base(document, chip))
    package = files.read_pairs(os.path.join(paths.driver(), "script", "package.conf"))
    if package.get("kills_older") == "yes":
        return ['{{"device_id":{}, "driver":{}, "firmware":0}}'.format(chip["id"], number)]
    return ['{{"device_id":{}, "hw_base_version":{}}}'.format(chip["id"], number)]


def _component(chip):
    firmware, number = chip["firmware"]["running"], chip["id"]
    return [
        "{",
        "Get component version({}) succeed for deviceId({}), componentType(0).".format(firmware, number),
        '{{"device_id":{}, "component":nve, "version":{}}}'.format(number, firmware),
    ]


def _system(document, chip):
    driver, number = document["loaded"]["version"], chip["id"]
    return [
        "{",
        "Get system version({}) succeed, deviceId({})".format(driver, number),
        '{{"device_id":{}, "version":{}}}'.format(number, driver),
    ]


def _parse(arguments):
    options, words, index = {}, [], 0
    while index < len(arguments):
        if arguments[index] in ("--device_index", "--component"):
            options[arguments[index]] = arguments[index + 1] if index + 1 < len(arguments) else ""
            index += 1
        else:
            words.append(arguments[index])
        index += 1
    return options, words


def run():
    """Be the program upgrade-tool."""
    sys.exit(main(sys.argv[1:]))
