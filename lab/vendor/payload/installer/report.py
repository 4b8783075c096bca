# SPDX-License-Identifier: Apache-2.0
"""What an installer says: on stdout, in its log and in the audit log."""

import time

from ascend import files, paths

_RED, _GREEN, _YELLOW, _PLAIN = "\033[31m", "\033[32m", "\033[33m", "\033[0m"


class Stop(Exception):
    """The installer ends here; ``lines`` are its last words, ``code`` its exit code."""

    def __init__(self, *lines, **options):
        super().__init__(*lines)
        self.lines = lines
        self.code = options.get("code", 1)


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
        """Log a line."""
        line = "[{}] [{}] {}".format(self.component, now(), text)
        try:
            files.append_line(self.log_file, line)
        except OSError:
            # Who may not write the log gets told why by the installer's own rules.
            pass

    def error(self, text):
        """Say an error in red, as the vendor does: the colour begins after the level."""
        self.say("[ERROR]{}{}{}".format(_RED, text, _PLAIN))

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
        """Say when it ended."""
        self.say("[INFO]End time: " + now())

    def audit(self, operation, success, install_type):
        """Write the line of the audit log."""
        line = "{} SUGGESTION root {} 127.0.0.1 {} {} installType={}; cmdlist={}."
        result = "success" if success else "failed"
        text = line.format(operation, self.started, self.run_file, result, install_type, " ".join(self.arguments))
        files.append_line(paths.OPERATION_LOG, text)
