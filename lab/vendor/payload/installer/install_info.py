# SPDX-License-Identifier: Apache-2.0
"""/etc/ascend_install.info: what is installed, where and for whom."""

from ascend import files, paths


def read():
    """Return its keys and values."""
    return files.read_pairs(paths.INSTALL_INFO)


def installed(component):
    """Tell whether a component (``Driver``, ``Firmware``) is recorded as installed."""
    return component + "_Install_Path_Param" in read()


def record(component, user, group, install_type, home, for_all=None):
    """Write a component's lines; the user's come first. That it is complete is said when it is."""
    pairs = {"UserName": user, "UserGroup": group}
    pairs.update((key, value) for key, value in read().items() if key not in pairs)
    pairs.pop(component + "_Install_Status", None)
    pairs[component + "_Install_Type"] = "full" if install_type == "upgrade" else install_type
    pairs[component + "_Install_Path_Param"] = home
    if component == "Driver":
        if for_all is not None:
            pairs["Driver_Install_For_All"] = "yes" if for_all else "no"
        pairs["Driver_Install_Mode"] = "normal"
    _write(pairs)


def complete():
    """Note that the driver's installation came to its end; releases from 24.1 do."""
    _write(dict(read(), Driver_Install_Status="complete"))


def forget(component):
    """Take a component's lines out; without any component the file goes."""
    pairs = {key: value for key, value in read().items() if not key.startswith(component + "_")}
    if any(key.endswith("_Install_Path_Param") for key in pairs):
        _write(pairs)
    else:
        files.remove(paths.INSTALL_INFO)


def _write(pairs):
    files.write_text(paths.INSTALL_INFO, "".join("{}={}\n".format(*pair) for pair in pairs.items()))
