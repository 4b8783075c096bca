# SPDX-License-Identifier: Apache-2.0
"""The transport over SSH, the only importer of paramiko. Host keys are always checked, of jump hosts too.

Imports go downward: transport → connector → trust → endpoint.
"""

import logging

from telechat_runtime.remote.ssh.connector import SshConnector
from telechat_runtime.remote.ssh.transport import SshTransport

__all__ = ["SshConnector", "SshTransport"]

# Whatever paramiko's threads meet comes to us as an exception too; without a handler they would print it with its
# traceback on the user's terminal.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
