# SPDX-License-Identifier: Apache-2.0
"""What npu-smi shows: the tables of ``npu-smi info`` and the blocks of its queries.

The shapes are those of npu-smi 23.0 to 25.x on 910B servers. From 25.2 on the process table has a fifth column.
"""

from . import chips, files, holders, paths, version

_TOP = "+{}+".format("-" * 96)
_DASHES = "+{}+{}+{}+".format("-" * 27, "-" * 15, "-" * 52)
_DOUBLE = "+{}+{}+{}+".format("=" * 27, "=" * 15, "=" * 52)
_IDLE_HBM_MB = 3161


def block(pairs):
    """Return the lines of ``key : value`` pairs as npu-smi indents them; an empty key continues the last value."""
    return ["\t{:<31}: {}".format(key, value) for key, value in pairs]


class View:
    """One look at the chips that can be seen from here."""

    def __init__(self, document, visible):
        self.document = document
        self.chips = [chip for chip in document["chips"] if chip["id"] in visible]
        self.driver = document["loaded"]["version"]
        self.tool = files.read_pairs(paths.driver() + "/version.info").get("Version", self.driver)
        self.held = holders.holders()

    def processes(self, chip_id):
        """Return the sorted process ids that hold a chip's device node."""
        node = "/dev/davinci{}".format(chip_id)
        return sorted(pid for pid, devices in self.held.items() if node in devices)

    def hbm_used(self, chip_id):
        """Return HBM in use, MB: what the firmware takes, what processes take, what nobody gives back."""
        used = _IDLE_HBM_MB + 7 * chip_id + sum(holders.memory_mb(pid) for pid in self.processes(chip_id))
        if chips.number_of(self.document["faults"], "hbm_held", 0) == chip_id:
            used += chips.HELD_MB
        return min(used, self.document["hbm_mb"])

    def compatible(self):
        """Tell whether the loaded driver accepts the firmware that the chips run, as ``OK`` or ``NG``."""
        ranges = files.read_pairs(paths.driver() + "/version.info").get("compatible_version_fw", "")
        return "OK" if all(version.in_ranges(c["firmware"]["running"], ranges) for c in self.chips) else "NG"

    def info(self):
        """Return the lines of ``npu-smi info``."""
        title = "npu-smi {:<24} Version: {}".format(self.tool, self.driver)
        lines = [_TOP, "| {:<95}|".format(title), _DASHES]
        lines.append(
            "| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|"
        )
        lines.append(
            "| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |"
        )
        lines.append(_DOUBLE)
        for chip in self.chips:
            lines += self._chip_rows(chip)
        return lines + self._process_table()

    def _chip_rows(self, chip):
        number = chip["id"]
        power = "{:.1f}".format(91.3 + 0.7 * number)
        busy = 100 if self.processes(number) else 0
        word = chips.health(self.document, number)[0]
        return [
            "| {:<6}{:<20}| {:<14}| {:<12}{:<18}{:<21}|".format(
                number, self.document["model"], word, power, 33 + number, _usage(0, 0)
            ),
            "| {:<26}| {:<14}| {:<12}{:<18}{:<21}|".format(
                0,
                chip["bus"].upper(),
                busy,
                _usage(0, 0),
                _usage(self.hbm_used(number), self.document["hbm_mb"]),
            ),
            _DOUBLE,
        ]

    def _process_table(self):
        wide = version.key(self.tool) >= version.key("25.2.0")
        widths = (27, 15, 26, 26, 28) if wide else (27, 15, 26, 25)
        titles = ["NPU     Chip", "Process id", "Process name"]
        titles += ["Process id in container"] if wide else []
        titles += ["Process memory(MB)"]
        # The rules run through below the columns after the process id.
        rules = widths[:2] + (sum(widths[2:]) + len(widths[2:]) - 1,)
        double = "+" + "".join("=" * width + "+" for width in rules)
        lines = [double.replace("=", "-"), _row(titles, widths), double]
        for chip in self.chips:
            rows = []
            for pid in self.processes(chip["id"]):
                cells = ["{:<8}{}".format(chip["id"], 0), pid, holders.name(pid)[:13]]
                cells += ["NA"] if wide else []
                rows.append(_row(cells + [holders.memory_mb(pid)], widths))
            nothing = "No running processes found in NPU {}".format(chip["id"])
            lines += rows or ["| {:<{}}|".format(nothing, len(double) - 3)]
            lines.append(double)
        return lines

    def mapping(self):
        """Return the lines of ``npu-smi info -m``."""
        shape = "\t{:<31}{:<31}{:<31}{:<31}"
        lines = [shape.format("NPU ID", "Chip ID", "Chip Logic ID", "Chip Name")]
        for logic, chip in enumerate(self.chips):
            lines.append(shape.format(chip["id"], 0, logic, "Ascend " + self.document["model"]))
            lines.append(shape.format(chip["id"], 1, "-", "Mcu"))
        return lines

    def listing(self):
        """Return the lines of ``npu-smi info -l``."""
        lines = block([("Total Count", len(self.chips))])
        for chip in self.chips:
            lines += [""] + block([("NPU ID", chip["id"]), ("Chip Count", 1)])
        return lines

    def board(self, chip):
        """Return the lines of ``-t board``."""
        bus, device = chip["bus"].upper(), self.document["pci_device"].upper()
        pairs = [("NPU ID", chip["id"]), ("Product Name", "IT21HMDA_Bin5"), ("Model", "NA"), ("Manufacturer", "Huawei")]
        versions = (self.driver, chip["firmware"]["running"], self.compatible())
        if chips.number_of(self.document["faults"], "board_na", 0) == chip["id"]:
            versions = ("NA",) * len(versions)
        pairs += [("Serial Number", chip["serial"]), ("Software Version", versions[0])]
        pairs += [("Firmware Version", versions[1]), ("Compatibility", versions[2])]
        pairs += [("Board ID", "0x60"), ("PCB ID", "A"), ("BOM ID", 1), ("PCIe Bus Info", bus), ("Slot ID", chip["id"])]
        pairs += [("Class ID", "NA"), ("PCI Vendor ID", "0x19E5"), ("PCI Device ID", "0x" + device)]
        pairs += [("Subsystem Vendor ID", "0x19E5"), ("Subsystem Device ID", "0x3003"), ("Chip Count", 1)]
        return block(pairs)

    def health(self, chip):
        """Return the lines of ``-t health``."""
        word, codes, texts = chips.health(self.document, chip["id"])
        pairs = [("Health Status", word), ("Error Code", codes), ("Error Information", texts[0])]
        return block(pairs + [("", text) for text in texts[1:]])

    def usages(self, chip):
        """Return the lines of ``-t usages``."""
        total = self.document["hbm_mb"]
        busy = 100 if self.processes(chip["id"]) else 0
        pairs = [("NPU ID", chip["id"]), ("Chip Count", 1)]
        usage = [("HBM Capacity(MB)", total), ("HBM Usage Rate(%)", self.hbm_used(chip["id"]) * 100 // total)]
        usage += [("Aicore Usage Rate(%)", busy), ("Aicpu Usage Rate(%)", 0), ("Ctrlcpu Usage Rate(%)", 1)]
        usage += [("HBM Bandwidth Usage Rate(%)", 0), ("Chip ID", 0)]
        return block(pairs) + [""] + block(usage)

    def process_memory(self, chip):
        """Return the lines of ``-t proc-mem``."""
        lines = block([("NPU ID", chip["id"]), ("Chip Count", 1)]) + [""]
        for pid in self.processes(chip["id"]):
            pairs = [
                ("Process id", pid),
                ("Process name", holders.name(pid)),
                ("Process memory(MB)", holders.memory_mb(pid)),
            ]
            lines += block(pairs)
        return lines + block([("Chip ID", 0)])

    def topology(self):
        """Return the lines of ``-t topo``: eight chips of an A2 are all joined by HCCS."""
        names = ["NPU{}".format(chip["id"]) for chip in self.chips]
        lines = ["\t" + "".join("{:<11}".format(name) for name in [""] + names) + "CPU Affinity"]
        for chip, name in zip(self.chips, names):
            links = ["X" if other == name else "HCCS" for other in names]
            cores = "{}-{}".format(24 * chip["id"], 24 * chip["id"] + 23)
            lines.append("\t" + "".join("{:<11}".format(cell) for cell in [name] + links) + cores)
        return lines


def _usage(used, total):
    return "{:<5}/ {}".format(used, total)


def _row(cells, widths):
    return "|" + "".join(" {:<{}}|".format(cell, width - 1) for cell, width in zip(cells, widths))
