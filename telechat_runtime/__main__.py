# SPDX-License-Identifier: Apache-2.0
"""Let `python -m telechat_runtime` and a zipapp start telechat-run."""

from telechat_runtime.cli.main import main

if __name__ == "__main__":
    main()
