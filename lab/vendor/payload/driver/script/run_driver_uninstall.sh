#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
exec python3 -B "$(dirname "$(readlink -f "$0")")/main.py" driver-uninstall "$@"
