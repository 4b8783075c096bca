# SPDX-License-Identifier: Apache-2.0
"""hccn_tool: the RoCE side of the chips.

Addresses stand in /etc/hccn.conf, where a real server keeps them over a reboot; the TLS switch is in the chip. The
network between servers is taken to be whole: an address answers when the chip has an address and a link.
"""

import os
import sys
import time

from . import chips, files, kernel, paths

_FAILED = "Command execute failed!"
_DONE = "Cmd executed successfully!"
_KEYS = {"ip": ("address", "netmask"), "gateway": ("gateway",), "netdetect": ("netdetect",)}


class Failure(Exception):
    """The command cannot be carried out."""


def main(arguments):
    """Carry out one command line; returns the exit code."""
    try:
        lines = _recover() if arguments[:1] == ["-a"] else _one(arguments)
    except Failure as failure:
        print(failure)
        return 1
    if lines:
        print("\n".join(lines))
    return 0


def _one(arguments):
    if len(arguments) < 3 or arguments[0] != "-i" or not arguments[1].isdigit():
        raise Failure("Usage: hccn_tool [-i <device_id>] <-command> <-g|-s> [Options...]")
    device = _device(int(arguments[1]))
    command, rest = arguments[2].lstrip("-"), arguments[3:]
    if rest[:1] == ["-g"] and command in _GET:
        return _GET[command](device, rest[1:])
    if rest[:1] == ["-s"] and command in _SET:
        return _SET[command](device, rest[1:])
    raise Failure(_FAILED)


def _device(number):
    document = chips.read()
    if document["loaded"] is None or number not in kernel.visible_chips():
        raise Failure("hccn_tool: device {} is not available. {}".format(number, _FAILED))
    device = next(chip for chip in document["chips"] if chip["id"] == number)
    device["faults"] = document["faults"]
    return device


def _config(device):
    pairs = files.read_pairs(paths.HCCN_CONF)
    suffix = "_{}".format(device["id"])
    return {key[: -len(suffix)]: value for key, value in pairs.items() if key.endswith(suffix)}


def _link_up(device):
    return chips.number_of(device["faults"], "link_down", 0) != device["id"]


def _get_ip(device, _):
    config = _config(device)
    if "address" not in config:
        return []
    return ["ipaddr:" + config["address"], "netmask:" + config.get("netmask", "255.255.255.0")]


def _get_link(device, _):
    return ["link status: " + ("UP" if _link_up(device) else "DOWN")]


def _get_net_health(device, _):
    if "net_health" in device["faults"]:
        word = device["faults"]["net_health"]
        return ["net health status: " + ("Unreachable" if word is True else str(word))]
    if not _link_up(device):
        return ["net health status: Fault"]
    return ["net health status: " + ("Success" if "netdetect" in _config(device) else "Init")]


def _get_netdetect(device, _):
    config = _config(device)
    return ["netdetect address: " + config["netdetect"]] if "netdetect" in config else []


def _get_gateway(device, _):
    config = _config(device)
    return ["default gateway:{}, Iface:eth{}".format(config["gateway"], device["id"])] if "gateway" in config else []


def _get_tls(device, _):
    line = "dev_id:{}, tls switch[{}](0:disable, 1:enable), ".format(device["id"], device["tls"])
    return [line + "tls preconfigured[1](0:non-preset, 1:preset), tls alarm time threshold[60]days"]


def _get_lldp(device, _):
    return ["\tIfname: 400GE1/1/{}:1".format(device["id"] + 1)] if _link_up(device) else []


def _get_mac(device, _):
    return ["mac addr: " + device["mac"]]


def _get_fec(device, _):
    return ["fec mode: rs FEC mode"]


def _get_stat(device, _):
    names = ("mac_tx_bad_pkt_num", "mac_rx_bad_pkt_num", "roce_rx_err_pkt_num", "roce_tx_err_pkt_num")
    return ["packet statistics:"] + ["{}:0".format(name) for name in names]


def _get_link_stat(device, _):
    ups, downs = ("1", "0") if _link_up(device) else ("1", "1")
    lines = ["[devid {}]link up count       : {}".format(device["id"], ups)]
    return lines + ["[devid {}]link down count     : {}".format(device["id"], downs)]


def _ping(device, arguments):
    options = dict(zip(arguments[::2], arguments[1::2]))
    if "address" not in options:
        raise Failure(_FAILED)
    count = int(options.get("pkt", "3"))
    lines = ["device {} PING {}".format(device["id"], options["address"])]
    if not (_link_up(device) and "address" in _config(device)):
        loss = "{} packets transmitted, 0 received, 100.00% packet loss".format(count)
        return lines + ["recv time out seq={}".format(number) for number in range(count)] + [loss]
    lines += ["recv seq={},time=0.{}000ms".format(number, 114 + number) for number in range(count)]
    return lines + ["{0} packets transmitted, {0} received, 0.00% packet loss".format(count)]


def _set_config(kind):
    def change(device, arguments):
        options = dict(zip(arguments[::2], arguments[1::2]))
        wanted = {key: options[key] for key in _KEYS[kind] if key in options}
        if kind != "ip" and "address" in options:
            wanted = {kind: options["address"]}
        if len(wanted) != len(_KEYS[kind]):
            raise Failure(_FAILED)
        pairs = files.read_pairs(paths.HCCN_CONF)
        pairs.update({"{}_{}".format(key, device["id"]): value for key, value in wanted.items()})
        files.write_text(paths.HCCN_CONF, "".join("{}={}\n".format(*pair) for pair in pairs.items()))
        return [_DONE]

    return change


def _set_tls(device, arguments):
    if len(arguments) != 2 or arguments[0] != "enable" or arguments[1] not in ("0", "1"):
        raise Failure(_FAILED)
    if not chips.on_server():
        raise Failure(_FAILED)

    def switch(chip):
        if chip["id"] == device["id"]:
            chip["tls"] = int(arguments[1])

    chips.change(switch)
    kernel.publish()
    return [_DONE]


def _recover():
    """Apply /etc/hccn.conf to all devices, as ``-a -cfg recovery`` does."""
    if sys.argv[1:] != ["-a", "-cfg", "recovery"]:
        raise Failure(_FAILED)
    loaded = kernel.loaded()
    if loaded is None or not os.path.exists(paths.HCCN_CONF):
        raise Failure(_FAILED)
    document = chips.read()
    lines, failed = [], False
    for number in kernel.visible_chips():
        up = chips.number_of(document["faults"], "link_down", 0) != number
        failed = failed or not up
        lines.append("dev:{} recovery {}".format(number, "success" if up else "failed"))
        files.append_line(paths.HCCN_LOG, "[{}] {}".format(time.strftime("%Y-%m-%d %H:%M:%S"), lines[-1]))
    if failed:
        raise Failure("\n".join(lines))
    return lines


_GET = {
    "ip": _get_ip,
    "link": _get_link,
    "net_health": _get_net_health,
    "netdetect": _get_netdetect,
    "gateway": _get_gateway,
    "tls": _get_tls,
    "lldp": _get_lldp,
    "mac": _get_mac,
    "fec": _get_fec,
    "stat": _get_stat,
    "link_stat": _get_link_stat,
    "ping": _ping,
}
_SET = {kind: _set_config(kind) for kind in _KEYS}
_SET["tls"] = _set_tls


def run():
    """Be the program hccn_tool."""
    sys.exit(main(sys.argv[1:]))
