# SPDX-License-Identifier: Apache-2.0
"""Light hosts: namespaces with an SSH server on the shared base image, without systemd and Docker."""
