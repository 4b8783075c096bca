# SPDX-License-Identifier: Apache-2.0
"""The options of a package and the rules among them; each breach is an ERR 0x0004."""

from installer.report import Stop

_PREFIX = "ERR_NO:0x0004;ERR_DES:"
# Options that makeself has obeyed already; they reach the installer when they follow one of its own.
_MAKESELF = ("--nox11", "--noprogress", "--nochown", "--nodiskspace")
_ALONE = ("version", "uninstall", "check", "boot-server-path")
_FOR_ALL = ("full", "run", "upgrade", "devel")

TYPES = {
    "Driver": ("full", "run", "devel", "docker", "upgrade", "uninstall"),
    "Firmware": ("full", "upgrade", "uninstall"),
}
_SWITCHES = {
    "Driver": ("version check quiet install-for-all vnpu_host vnpu_guest vnpu_docker_host".split()),
    "Firmware": ["version", "check", "quiet"],
}
_NEWER_SWITCHES = {"Driver": ["force", "norebuild"], "Firmware": ["force"]}
_VALUES = {
    "Driver": ["install-username", "install-usergroup", "install-path", "boot-server-path"],
    "Firmware": ["install-path"],
}


class Options:
    """What the caller wants: ``type`` (None for version and check), switches and values."""

    def __init__(self, install_type, given):
        self.type = install_type
        self.given = given

    def __contains__(self, name):
        return name in self.given

    def value(self, name):
        """Return an option's value, or None."""
        return self.given.get(name)


def parse(component, arguments, newer):
    """Return Options; Stop with the vendor's words when a rule is broken. ``newer``: releases from 24.1 know more."""
    given = {}
    types = list(TYPES[component])
    if newer and component == "Driver":
        types.append("debug")
    switches = _SWITCHES[component] + (_NEWER_SWITCHES[component] if newer else [])
    for argument in arguments:
        if argument in _MAKESELF:
            continue
        name, equals, value = argument[2:].partition("=")
        known = name in _VALUES[component] and value if equals else name in types or name in switches
        if not argument.startswith("--") or not known:
            raise Stop(
                _PREFIX + " Unrecognized parameters: {}. Try './xxx.run --help' for more information.".format(argument)
            )
        given[name] = value if equals else True
    return _checked(given, types, newer)


def _checked(given, types, newer):
    chosen = [name for name in types if name in given]
    alone = [name for name in _ALONE if name in given]
    if newer and set(given) == {"uninstall", "force"}:
        alone = []
    if alone and len(given) > 1:
        raise Stop(_PREFIX + "{} can't use with other parameters".format(alone[0]))
    if not chosen and not alone:
        raise Stop(
            _PREFIX + "Unrecognized parameters, an install type is needed. Try './xxx.run --help' for more information."
        )
    if len(chosen) > 1:
        raise Stop(_PREFIX + "{} can't use with other parameters".format("/".join(chosen)))
    install_type = chosen[0] if chosen else None
    if newer and install_type == "upgrade" and "install-for-all" in given:
        raise Stop(_PREFIX + "install-for-all param need used with full/debug/run/devel.")
    if "install-for-all" in given and install_type not in _FOR_ALL:
        raise Stop(_PREFIX + "install-for-all can't use with other parameters than full/run/upgrade/devel")
    _check_user(given, install_type)
    if "install-path" in given and install_type == "upgrade":
        raise Stop(_PREFIX + "install-path can't use with other parameters like upgrade")
    return Options(install_type, given)


def _check_user(given, install_type):
    named = [name for name in ("install-username", "install-usergroup") if name in given]
    if len(named) == 1:
        raise Stop(_PREFIX + "install-username and install-usergroup must be used together")
    if named and install_type == "upgrade":
        raise Stop(_PREFIX + "install-username can't use with other parameters like upgrade")
    if given.get("install-username") == "root" and "install-for-all" not in given:
        raise Stop(_PREFIX + "root user can only be used with install-for-all")
