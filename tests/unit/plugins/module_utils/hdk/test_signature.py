# SPDX-License-Identifier: Apache-2.0
"""Signatures made by openssl: which are good, and openssl's reason for every one that is not."""

import subprocess
import time
import zipfile

import pytest
from ansible.module_utils.hdk.package_store import PackageError
from ansible.module_utils.hdk.signature import check_package_signature

from lab.vendor.packages import zip_of
from lab.vendor.signature import Authority, Vendor

NAME = "Ascend-hdk-910b-npu_24.1.rc3_linux-aarch64.zip"
PAST = "20210101000000Z"


@pytest.fixture(scope="module")
def vendor(tmp_path_factory):
    return Vendor(tmp_path_factory.mktemp("vendor") / "chain")


class Package:
    """A signed inner zip in a folder; `outer` packs what is there as the vendor does."""

    def __init__(self, folder):
        self.folder = folder / "content"
        self.folder.mkdir()
        self.inner = self.folder / NAME
        with zipfile.ZipFile(self.inner, "w") as archive:
            archive.writestr("driver.run", b"driver" * 1000)

    def beside(self, suffix):
        return self.inner.with_name(NAME + suffix)

    def outer(self):
        return zip_of(self.folder.parent / NAME, sorted(self.folder.iterdir()))

    def check(self, ca, path=None):
        scratch = self.folder.parent / "scratch"
        check_package_signature(str(path or self.outer()), str(ca), str(scratch))
        assert list(scratch.iterdir()) == []

    def complaint(self, ca, path=None):
        with pytest.raises(PackageError) as caught:
            self.check(ca, path)
        assert caught.value.rule
        assert caught.value.next_step
        assert not any((self.folder.parent / "scratch").glob("*"))
        return str(caught.value)


def package_signed(package, signer):
    signer.sign(package.inner)
    return package


@pytest.fixture
def package(tmp_path):
    return Package(tmp_path)


def test_a_good_signature(package, vendor):
    package_signed(package, vendor.signer)
    package.check(vendor.root.certificate)


def test_the_ca_may_be_der(package, vendor, tmp_path):
    package_signed(package, vendor.signer)
    ca = tmp_path / "root.der"
    openssl("x509", "-in", vendor.root.certificate, "-outform", "DER", "-out", ca)
    package.check(ca)


def test_tampered_content(package, vendor):
    package_signed(package, vendor.signer)
    with zipfile.ZipFile(package.inner, "a") as archive:
        archive.writestr("more.run", b"x")
    said = package.complaint(vendor.root.certificate)
    assert f"the signature of {NAME} is refused by openssl: " in said
    assert said.endswith("content verify error")


def test_another_ca(package, vendor, tmp_path):
    package_signed(package, vendor.signer)
    other = Authority(tmp_path / "other", "Another Root CA")
    assert package.complaint(other.certificate).endswith("unable to get local issuer certificate")


def test_what_the_system_trusts_does_not_count(package, vendor, tmp_path, monkeypatch):
    package_signed(package, vendor.signer)
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    done = openssl("x509", "-in", vendor.root.certificate, "-noout", "-subject_hash")
    (trusted / f"{done.strip()}.0").write_bytes(vendor.root.certificate.read_bytes())
    monkeypatch.setenv("SSL_CERT_DIR", str(trusted))
    monkeypatch.setenv("SSL_CERT_FILE", str(vendor.root.certificate))
    other = Authority(tmp_path / "other", "Another Root CA")
    assert "certificate" in package.complaint(other.certificate)


def test_a_revoked_signer(package, vendor):
    revoked = vendor.code_signing.signer("Revoked Signer")
    vendor.code_signing.revoke(revoked.certificate)
    package_signed(package, revoked)
    assert package.complaint(vendor.root.certificate).endswith("certificate revoked")


def test_a_signer_whose_ca_the_root_revoked(tmp_path, package):
    vendor = Vendor(tmp_path / "vendor")
    vendor.root.revoke(vendor.code_signing.certificate)
    vendor.root.list_revoked(tmp_path / "root.crl")
    package_signed(package, vendor.signer)
    package.check(vendor.root.certificate)
    lists = openssl("crl", "-inform", "DER", "-in", tmp_path / "root.crl")
    ca = tmp_path / "root-and-list.pem"
    ca.write_text(vendor.root.certificate.read_text() + lists)
    assert package.complaint(ca).endswith("certificate revoked")


def test_a_certificate_that_had_expired_when_it_signed(package, vendor):
    package_signed(package, vendor.code_signing.signer("Expired Signer", until=PAST))
    assert package.complaint(vendor.root.certificate).endswith("certificate has expired")


def test_a_certificate_that_expired_since(package, vendor):
    end = int(time.time()) + 2
    until = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(end))
    package_signed(package, vendor.code_signing.signer("Short Signer", until=until))
    while time.time() <= end + 1:
        time.sleep(0.1)
    package.check(vendor.root.certificate)


def test_without_a_time_the_certificate_must_hold_now(package, vendor):
    signer = vendor.code_signing.signer("Timeless Signer", until=PAST)
    signer.sign(package.inner)
    key = signer.certificate.with_suffix(".key")
    argv = ["-noattr", "-binary", "-in", package.inner, "-outform", "DER", "-out", package.beside(".cms")]
    openssl(
        "cms",
        "-sign",
        *argv,
        "-signer",
        signer.certificate,
        "-inkey",
        key,
        "-certfile",
        vendor.code_signing.certificate,
    )
    assert package.complaint(vendor.root.certificate).endswith("certificate has expired")


@pytest.mark.parametrize("suffix", [".cms", ".crl"])
def test_a_missing_part(package, vendor, suffix):
    package_signed(package, vendor.signer)
    package.beside(suffix).unlink()
    assert f"{NAME}{suffix} beside it" in package.complaint(vendor.root.certificate)


@pytest.mark.parametrize("suffix", [".cms", ".crl"])
def test_a_damaged_part(package, vendor, suffix):
    package_signed(package, vendor.signer)
    package.beside(suffix).write_bytes(b"not DER")
    assert "openssl" in package.complaint(vendor.root.certificate)


def test_a_list_of_another_ca(package, vendor):
    package_signed(package, vendor.signer)
    vendor.root.list_revoked(package.beside(".crl"))
    assert package.complaint(vendor.root.certificate).endswith("unable to get certificate CRL")


def test_a_ca_that_is_no_certificate(package, vendor, tmp_path):
    package_signed(package, vendor.signer)
    (tmp_path / "ca.pem").write_text("hello")
    assert package.complaint(tmp_path / "ca.pem") == f"{tmp_path}/ca.pem can't be read by openssl x509"
    assert f"{tmp_path}/none.pem can't be used as CA: No such file" in package.complaint(tmp_path / "none.pem")


def test_a_plain_zip_and_a_run_file_have_theirs_beside_them(package, vendor):
    assert f"{NAME} has no revocation list" in package.complaint(vendor.root.certificate, package.inner)
    package_signed(package, vendor.signer)
    package.check(vendor.root.certificate, package.inner)
    run = package.folder / "Ascend-hdk-910b-npu-firmware_7.5.0.1.129.run"
    run.write_bytes(b"firmware")
    vendor.signer.sign(run)
    package.check(vendor.root.certificate, run)


def test_a_package_beside_the_signed_zip(package, vendor):
    package_signed(package, vendor.signer)
    (package.folder / "Ascend-hdk-910b-npu-firmware_7.5.0.1.129.run").write_bytes(b"unsigned")
    assert "outside of its signed zip" in package.complaint(vendor.root.certificate)


def test_without_openssl(package, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert package.complaint(tmp_path / "ca.pem") == "openssl is missing on the control side"


def openssl(*argv):
    return subprocess.run(["openssl", *map(str, argv)], check=True, capture_output=True, text=True).stdout
