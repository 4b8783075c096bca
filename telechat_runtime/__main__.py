# SPDX-License-Identifier: Apache-2.0
"""Let `python -m telechat_runtime` and a zipapp start telechat-run; a node command starts without click."""

import importlib
import sys


def main() -> None:
    """Run what the command line asks for, and exit with its code."""
    if sys.argv[1:2] == ["node"]:
        sys.exit(importlib.import_module("telechat_runtime.node.protocol").main(sys.argv[2:]))
    importlib.import_module("telechat_runtime.cli.main").main()


if __name__ == "__main__":
    main()
