# SPDX-License-Identifier: Apache-2.0
"""Huawei's signature of a package: a CMS file and a revocation list, verified by openssl against a CA.

Huawei's zip holds the zip with the packages, X.zip, and beside it X.zip.cms (DER, detached) and X.zip.crl. A package
that is no such zip may have FILE.cms and FILE.crl beside itself in the folder.

The signature is judged as of the time at which it was made (the timestamp in the CMS file, or the revocation list if
that is later), as Huawei's own instructions do: a package outlives the certificate that signed it.
"""

from __future__ import annotations

import base64
import calendar
import os
import re
import shutil
import subprocess
import tempfile
import time
import zipfile
from typing import List, Optional

from ansible.module_utils.hdk.package_store import PackageError

RULE = "ascend_hdk_signature_ca is set: every package has Huawei's signature"
_GET_AGAIN = (
    "get Huawei's zip again, with the signature inside it; without ascend_hdk_signature_ca only the lock decides"
)
# The vendor's own verifier takes no larger signature or list.
_LIMIT = 10 * 1024 * 1024
_CHUNK = 1024 * 1024
_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_REASON = re.compile(r"Verify error: ?(.+)|error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):")
_SIGNING_TIME = re.compile(r":signingTime\n.*?\b(UTCTIME|GENERALIZEDTIME)\s*:(\d+)Z", re.DOTALL)
_LIST_TIME = re.compile(r"lastUpdate=(\w{3} +\d+ [\d:]+ \d{4}) GMT")
_MISSING_LIST = "unable to get certificate CRL"


def check_package_signature(path: str, ca: str, scratch: str) -> None:
    """Raise PackageError unless the package, or the zip inside it, has a good signature; `ca` is PEM or DER.

    `scratch` is a folder for what has to be unpacked meanwhile.
    """
    if shutil.which("openssl") is None:
        step = "install openssl on the control side, or unset ascend_hdk_signature_ca"
        raise PackageError("openssl is missing on the control side", RULE, step)
    os.makedirs(scratch, mode=0o755, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        inner = _unpack_signed(path, folder) if path.endswith(".zip") else []
        for content in inner or [path]:
            _verify(content, ca, folder)


def _unpack_signed(path: str, folder: str) -> List[str]:
    """Unpack the zips in a zip, with all that is beside them; return their paths, none for a plain zip."""
    inner: List[str] = []
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename.rpartition("/")[2]: entry for entry in archive.infolist()}
        if not any(name.endswith(".zip") for name in entries):
            return []
        for name, entry in entries.items():
            if name.endswith(".run"):
                raise PackageError(f"{os.path.basename(path)} holds {name} outside of its signed zip", RULE, _GET_AGAIN)
            if name.endswith(".zip") or (name.endswith((".cms", ".crl")) and entry.file_size <= _LIMIT):
                target = os.path.join(folder, name)
                with archive.open(entry) as source, open(target, "wb") as sink:
                    shutil.copyfileobj(source, sink, _CHUNK)
                inner += [target] if name.endswith(".zip") else []
    return inner


def _verify(content: str, ca: str, folder: str) -> None:
    name = os.path.basename(content)
    trusted = os.path.join(folder, "trusted.pem")
    signature = content + ".cms"
    lists = _pem(content + ".crl", "X509 CRL", f"{name} has no revocation list {name}.crl beside it")
    anchors = _pem(ca, "CERTIFICATE", f"{ca} can't be used as CA")
    for what, command, given in ((ca, "x509", anchors), (f"{name}.crl", "crl", lists)):
        if _openssl([command, "-noout"], folder, given).returncode:
            raise PackageError(f"{what} can't be read by openssl {command}", RULE, _GET_AGAIN)
    _read(signature, f"{name} has no signature {name}.cms beside it")
    with open(trusted, "wb") as stream:
        stream.write(anchors + lists)
    when = _time_of_signature(signature, anchors + lists, folder)
    argv = ["cms", "-verify", "-binary", "-inform", "DER", "-in", signature, "-content", content]
    argv += ["-CAfile", trusted, "-no-CApath", "-purpose", "any", "-out", os.devnull]
    argv += ["-attime", str(when)] if when is not None else []
    reason = _refusal([*argv, "-crl_check_all"], folder)
    if reason == _MISSING_LIST:
        # The package brings the list of one CA: at least the signer's own certificate is looked up.
        reason = _refusal([*argv, "-crl_check"], folder)
    if reason:
        step = "add the signer's CA's list (PEM) to ascend_hdk_signature_ca" if reason == _MISSING_LIST else _GET_AGAIN
        raise PackageError(f"the signature of {name} is refused by openssl: {reason}", RULE, step)


def _refusal(argv: List[str], folder: str) -> str:
    """Return openssl's reason against the signature, or nothing."""
    done = _openssl(argv, folder)
    if done.returncode == 0:
        return ""
    said = done.stderr.decode("utf-8", "replace")
    reasons = list(dict.fromkeys(other for _, other in _REASON.findall(said)))
    named = [first for first, _ in _REASON.findall(said) if first][:1]
    return ", ".join(named or reasons) or said.strip() or f"it ended with {done.returncode}"


def _time_of_signature(signature: str, lists: bytes, folder: str) -> Optional[int]:
    """Return the time, in seconds, as of which to judge: that of the signature or of the newest list; else None."""
    printed = _openssl(["asn1parse", "-inform", "DER", "-in", signature], folder).stdout.decode("ascii", "replace")
    stamps = _SIGNING_TIME.findall(printed)
    if not stamps:
        return None
    # The signer's own time comes first, that of a timestamp authority behind it.
    kind, digits = stamps[-1]
    times = [_seconds(digits, "%y%m%d%H%M%S" if kind == "UTCTIME" else "%Y%m%d%H%M%S")]
    for block in _PEM_BLOCK.finditer(lists):
        if block.group(1) == b"X509 CRL":
            said = _openssl(["crl", "-noout", "-lastupdate"], folder, block.group(0)).stdout.decode("ascii", "replace")
            times += [_seconds(found, "%b %d %H:%M:%S %Y") for found in _LIST_TIME.findall(said)]
    return max(times)


def _seconds(text: str, form: str) -> int:
    return calendar.timegm(time.strptime(text, form))


def _openssl(argv: List[str], folder: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Run openssl with no certificates but those it is given: the system's own must not vouch for a package."""
    environment = {**os.environ, "SSL_CERT_DIR": os.path.join(folder, "none"), "SSL_CERT_FILE": os.devnull}
    return subprocess.run(["openssl", *argv], input=given, env=environment, capture_output=True, check=False)


def _pem(path: str, label: str, otherwise: str) -> bytes:
    """Return a certificate or list as PEM; it may be PEM, with several blocks, or DER. Raises PackageError."""
    content = _read(path, otherwise)
    if b"-----BEGIN" in content:
        return content + b"\n"
    lines = base64.encodebytes(content)
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label.encode(), lines, label.encode())


def _read(path: str, otherwise: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(_LIMIT)
    except OSError as error:
        raise PackageError(f"{otherwise}: {error.strerror}", RULE, _GET_AGAIN) from error
