# SPDX-License-Identifier: Apache-2.0
"""The vendor's signature beside a file: FILE.cms (DER, detached) and FILE.crl (DER), by openssl.

A root CA certifies a code signing CA, and that the signer; the revocation list is the code signing CA's. Keys are made
for one build and thrown away with its folder.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FROM, UNTIL = "20200101000000Z", "20491231235959Z"
_LIST_DAYS = "3650"

_CONFIGURATION = """
[ca]
default_ca = authority
[authority]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
policy = any_name
unique_subject = no
[any_name]
commonName = supplied
[authority_extensions]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
[signer_extensions]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = codeSigning
[req]
distinguished_name = empty
[empty]
"""


class SignatureError(Exception):
    """openssl is missing, or failed; the text has its own words."""


class Authority:
    """A CA in a folder of its own; without an issuer it is a root."""

    def __init__(self, folder: Path, name: str, issuer: Authority | None = None) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.certificate = folder / "ca.pem"
        self._configuration = folder / "openssl.cnf"
        self._configuration.write_text(_CONFIGURATION.format(folder=folder), encoding="utf-8")
        (folder / "index.txt").touch()
        request = self._request(name, folder / "ca.key")
        (issuer or self).certify(request, self.certificate, "authority_extensions", key=folder / "ca.key")

    def signer(self, name: str, *, until: str = UNTIL) -> Signer:
        """Return a new signer; ``until`` ends its certificate, as YYYYMMDDhhmmssZ."""
        stem = self.folder / name.replace(" ", "-")
        request = self._request(name, stem.with_suffix(".key"))
        self.certify(request, stem.with_suffix(".pem"), "signer_extensions", until=until)
        return Signer(self, stem.with_suffix(".pem"), stem.with_suffix(".key"))

    def certify(
        self, request: Path, certificate: Path, extensions: str, *, key: Path | None = None, until: str = UNTIL
    ) -> None:
        """Sign a request; with the authority's own key and no certificate yet, it signs itself."""
        own = not self.certificate.exists() and key is not None
        argv = ["ca", "-batch", "-notext", "-config", self._configuration, "-extensions", extensions]
        argv += ["-startdate", FROM, "-enddate", until, "-in", request, "-out", certificate]
        _openssl(*argv, *(["-selfsign", "-keyfile", key] if own and key else []))

    def revoke(self, certificate: Path) -> None:
        """Put a certificate on the next list."""
        _openssl("ca", "-config", self._configuration, "-revoke", certificate)

    def list_revoked(self, target: Path) -> None:
        """Write the revocation list, DER."""
        pem = self.folder / "list.pem"
        _openssl("ca", "-gencrl", "-config", self._configuration, "-crldays", _LIST_DAYS, "-out", pem)
        _openssl("crl", "-in", pem, "-outform", "DER", "-out", target)

    def _request(self, name: str, key: Path) -> Path:
        request = key.with_suffix(".csr")
        argv = ["req", "-new", "-config", self._configuration, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        _openssl(*argv, "-noenc", "-keyout", key, "-subj", f"/CN={name}", "-out", request)
        return request


class Signer:
    """A certificate that may sign code, and its key."""

    def __init__(self, authority: Authority, certificate: Path, key: Path) -> None:
        self.authority = authority
        self.certificate = certificate
        self._key = key

    def sign(self, content: Path) -> tuple[Path, Path]:
        """Write signature and revocation list beside the file; return both."""
        signature = content.with_name(content.name + ".cms")
        revoked = content.with_name(content.name + ".crl")
        argv = ["cms", "-sign", "-binary", "-md", "sha256", "-in", content, "-outform", "DER", "-out", signature]
        argv += ["-signer", self.certificate, "-inkey", self._key, "-certfile", self.authority.certificate]
        _openssl(*argv)
        self.authority.list_revoked(revoked)
        return signature, revoked


class Vendor:
    """The vendor's whole chain: its root, whose certificate customers get, and the signer of its packages."""

    def __init__(self, folder: Path) -> None:
        self.root = Authority(folder / "root", "Simulated Vendor Root CA")
        self.code_signing = Authority(folder / "code-signing", "Simulated Vendor Code Signing CA", self.root)
        self.signer = self.code_signing.signer("Simulated Vendor")


def _openssl(*argv: object) -> None:
    try:
        done = subprocess.run(["openssl", *map(str, argv)], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise SignatureError(
            "openssl is missing: it signs the packages. Install it (apt-get install openssl)."
        ) from error
    if done.returncode != 0:
        raise SignatureError(f"openssl {argv[0]} ended with {done.returncode}: {done.stderr.strip()}")
