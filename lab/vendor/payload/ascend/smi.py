# SPDX-License-Identifier: Apache-2.0
"""The command line of npu-smi."""

import os
import sys
import time

from . import chips, kernel, paths
from .smi_view import View, block

_USAGE = "Usage: npu-smi info <watch|proc|-h|-m|-l|-t type> [Options...]"
_PER_CHIP = {
    "board": View.board,
    "health": View.health,
    "usages": View.usages,
    "proc-mem": View.process_memory,
}


class Refusal(Exception):
    """What npu-smi prints when it cannot answer."""


def main(arguments):
    """Answer one command line; returns the exit code."""
    try:
        lines = _answer(arguments)
    except Refusal as refusal:
        print(refusal)
        return 1
    print("\n".join(lines))
    return 0


def _answer(arguments):
    if arguments in (["-v"], ["--version"]):
        return ["npu-smi version: {}".format(_view().tool)]
    if arguments[:1] == ["info"]:
        return _info(arguments[1:])
    if arguments[:1] == ["set"]:
        return _set(arguments[1:])
    raise Refusal(_USAGE)


def _info(arguments):
    if arguments == ["-h"]:
        return [_USAGE]
    view = _view()
    if not arguments:
        return view.info()
    if arguments in (["-m"], ["-l"]):
        return view.mapping() if arguments == ["-m"] else view.listing()
    options = _options(arguments, ("-t", "-i", "-c"))
    kind = options.get("-t")
    if kind == "topo":
        return view.topology()
    if kind not in _PER_CHIP or "-i" not in options:
        raise Refusal(
            "Error parameter of -t\n" + _USAGE if kind not in _PER_CHIP else "Error parameter of -i\n" + _USAGE
        )
    chip = _chip(view, options)
    if kind == "board":
        _board_faults(view.document["faults"], chip["id"])
    return _PER_CHIP[kind](view, chip)


def _board_faults(faults, chip_id):
    """Behave as a sick chip does when it is asked for its board: not at all, or with an error."""
    while chips.number_of(faults, "board_hangs", 0) == chip_id:
        time.sleep(3600)
    if chips.number_of(faults, "board_fails", 0) == chip_id:
        raise Refusal("Failed to get the board info of NPU {}.".format(chip_id))


def _set(arguments):
    options = _options(arguments, ("-t", "-i", "-c"))
    if options.get("-t") != "reset" or "-i" not in options:
        raise Refusal("Usage: npu-smi set -t reset -i <id> -c <chip_id>")
    view = _view()
    chip = _chip(view, options)
    if view.processes(chip["id"]):
        raise Refusal("\n".join(block([("Status", "Fail"), ("Message", "The device is occupied by some processes.")])))
    if chips.number_of(view.document["faults"], "hbm_held", 0) == chip["id"]:
        chips.heal("hbm_held")
        kernel.publish()
    return block([("Status", "OK"), ("Message", "The chip 0 of NPU {} is reset successfully.".format(chip["id"]))])


def _options(arguments, known):
    options = {}
    for name, value in zip(arguments[::2], arguments[1::2]):
        options[name] = value
    if len(arguments) % 2 or set(options) - set(known):
        raise Refusal(_USAGE)
    return options


def _chip(view, options):
    for chip in view.chips:
        if str(chip["id"]) == options["-i"]:
            if options.get("-c", "0") != "0":
                raise Refusal("Invalid chip id.\nError parameter of -c\n" + _USAGE)
            return chip
    raise Refusal("Invalid card id.\nError parameter of -i\n" + _USAGE)


def _view():
    """Open the chips as libdcmi does; the errors are its own."""
    document = chips.read()
    time.sleep(chips.number_of(document["faults"], "npu_smi_slow", 20) or 0)
    if document["faults"].get("npu_smi_8020"):
        raise Refusal(
            "DrvMngGetConsoleLogLevel failed. (g_conLogLevel=3)\n"
            "dcmi model initialized failed, because the device is used. ret is -8020"
        )
    visible = kernel.visible_chips()
    manager = os.access(os.path.join(paths.DEV, "davinci_manager"), os.R_OK | os.W_OK)
    if not (manager and visible and document["loaded"]) or document["faults"].get("npu_smi_8005"):
        raise Refusal("DrvMngGetConsoleLogLevel failed. (g_conLogLevel=3)\ndcmi module initialize failed. ret is -8005")
    return View(document, visible)


def run():
    """Be the program npu-smi."""
    sys.exit(main(sys.argv[1:]))
