# SPDX-License-Identifier: Apache-2.0
"""What a site.yml with nothing to do costs, as a multiple of one ping: ``python -m tests.bench.second_run INVENTORY``.

Run it where the servers are reachable and site.yml has run, for example behind ``python -m lab exec --``. Both commands
run in turn, so that whatever else the machine does hits both; the medians are compared.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.bench.timing import medians, seconds

BIN = Path(sys.executable).parent


def main() -> int:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.second_run", description=__doc__)
    parser.add_argument("inventory")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    ping = [str(BIN / "ansible"), "-i", options.inventory, "ascend", "-m", "ansible.builtin.ping"]
    play = [str(BIN / "ansible-playbook"), "-i", options.inventory, "site.yml"]
    pairs = [(seconds(ping), seconds(play)) for _ in range(options.rounds)]
    pinged, played = medians(pairs)
    print(f"site.yml with nothing to do: {played / pinged:.2f} x ping ({played:.2f} s : {pinged:.2f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
