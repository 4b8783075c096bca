# SPDX-License-Identifier: Apache-2.0
"""What an installer says: on stdout, in its log and in the audit log."""

import os
import pwd
import time

from ascend import files, paths

_RED, _GREEN, _YELLOW, _PLAIN = "\033[31m", "\033[32m", "\033[33m", "\033[0m"


_UNCOLOURED = ("ERR_NO:", "The list of missing tools", "free space only", "Installation failed, the driver package")
_LEVELS = {"Install": "SUGGESTION", "Upgrade": "MINOR", "Uninstall": "MAJOR"}


class Stop(Exception):
    """The installer ends here; ``lines`` are its last words, ``code`` its exit code; ``bare``: without an end time."""

    def __init__(self, *lines, **options):
        super().__init__(*lines)
        self.lines = lines
        self.code = options.get("code", 1)
        self.bare = options.get("bare", False)


def now():
    """Return the time as it stands in the logs."""
    return time.strftime("%Y-%m-%d %H:%M:%S")


class Report:
    """Lines of one run of one package, ``[Driver]`` or ``[Firmware]``."""

    def __init__(self, component, run_file, arguments, log_file=paths.INSTALL_LOG):
        self.log_file = log_file
        self.component = component
        self.run_file = run_file
        self.arguments = arguments
        self.started = now()

    def say(self, text):
        """Print a line and log it."""
        print("[{}] [{}] {}".format(self.component, now(), text), flush=True)
        self.log(text)

    def log(self, text):
        """Log a line, with the user's id as `id` prints it first."""
        line = "[{}] [{}] [{}] {}".format(self.component, now(), _user(), text)
        try:
            files.append_line(self.log_file, line)
        except OSError:
            # Who may not write the log gets told why by the installer's own rules.
            pass

    def error(self, text):
        """Say an error: in red, where the colour begins after the level, or plain where the vendor's usage errors are."""
        plain = text.startswith(_UNCOLOURED)
        self.say("[ERROR]" + (text if plain else "{}{}{}".format(_RED, text, _PLAIN)))

    def success(self, text):
        """Say something in green."""
        self.say("[INFO]{}{}{}".format(_GREEN, text, _PLAIN))

    def warning(self, text):
        """Say a warning."""
        self.say("[WARNING]{}{}{}".format(_YELLOW, text, _PLAIN))

    def begin(self):
        """Say where the logs are."""
        self.say("[INFO]Start time: " + self.started)
        self.say("[INFO]LogFile: " + self.log_file)
        self.say("[INFO]OperationLogFile: " + paths.OPERATION_LOG)
        self.say("[WARNING]Do not power off or restart the system during the installation/upgrade")

    def end(self):
        """Say when it ended, after errors too."""
        self.say("[INFO]End time: " + now())

    def base_version(self, version):
        """Say what is installed already."""
        if version:
            self.say("[INFO]base version is {}.".format(version))
        else:
            self.log("[INFO]base version was destroyed or not exist.")

    def audit(self, operation, success, install_type):
        """Write the line of the audit log."""
        result = "success" if success else "failed"
        words = [operation, _LEVELS[operation], "root", self.started, "127.0.0.1", self.run_file, result]
        if operation == "Install":
            words.append("install_type={};".format(install_type))
        words.append("cmdlist={}.".format(" ".join(self.arguments) or "none"))
        files.append_line(paths.OPERATION_LOG, " ".join(words))


def _user():
    number = os.geteuid()
    try:
        return "uid={}({})".format(number, pwd.getpwuid(number).pw_name)
    except KeyError:
        return "uid={}".format(number)
