#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
exec python3 -B /usr/local/Ascend/driver/script/main.py driver-uninstall "$@"
