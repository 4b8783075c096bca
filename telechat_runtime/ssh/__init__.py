# SPDX-License-Identifier: Apache-2.0
"""The transport over SSH, the only importer of paramiko. Host keys are always checked, of jump hosts too."""

from telechat_runtime.ssh.connector import SshConnector
from telechat_runtime.ssh.transport import SshTransport

__all__ = ["SshConnector", "SshTransport"]
