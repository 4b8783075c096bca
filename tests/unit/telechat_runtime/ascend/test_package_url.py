# SPDX-License-Identifier: Apache-2.0
import base64

import pytest

from telechat_runtime.ascend.package_url import location_and_headers, public, url_fault


@pytest.mark.parametrize(
    "url",
    ["http://192.0.2.1/a.zip", "https://host.example:8443/Ascend%20HDK/a.zip?x=1", "file:///srv/a.zip"],
)
def test_urls_that_can_be_fetched(url):
    assert url_fault(url) == ""


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        (7, "no text"),
        ("/srv/a.zip", "scheme is missing"),
        ("ftp://host.example/a.zip", "scheme is ftp"),
        ("https:///a.zip", "no host"),
        ("https://host.example:port/a.zip", "port can't be read"),
        ("https://host.example/a b.zip", "%-encoding"),
        ("https://host.example/华为.zip", "%-encoding"),
        ("file://elsewhere.example/a.zip", "another host"),
    ],
)
def test_urls_that_cannot(url, fault):
    assert fault in url_fault(url)


def test_what_is_shown_has_no_secret():
    shown = public("https://me:hidden@host.example:8443/a.zip?token=hidden#hidden")
    assert shown == "https://host.example:8443/a.zip"


def test_a_login_is_sent_as_header_and_not_in_the_location():
    location, headers = location_and_headers("https://me:p%40ss@host.example/a.zip?x=1")
    assert location == "https://host.example/a.zip?x=1"
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"me:p@ss"


def test_a_file_url_is_a_path():
    assert location_and_headers("file:///srv/a%20b.zip") == ("/srv/a b.zip", {})
