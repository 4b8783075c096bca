#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
exec python3 -B /usr/local/Ascend/firmware/script/main.py firmware-uninstall "$@"
