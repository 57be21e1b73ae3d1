"""Entity tags: what If-Match and If-None-Match name."""

from __future__ import annotations

import pytest

from stagepost.engine.web.etags import etag_of, is_among, versions_of
from stagepost.errors import Unseen


def test_a_version_has_a_strong_tag() -> None:
    assert etag_of(7) == '"7"'


@pytest.mark.parametrize(
    ("header", "versions"),
    [
        ('"7"', {7}),
        (' "7" , "8"', {7, 8}),
        ('W/"7"', set()),
        ('W/"7", "8"', {8}),
        ('"seven"', set()),
        ("7", set()),
        ("", set()),
        ('"7", *', {7}),
        (f'"{10**30}"', set()),
    ],
)
def test_if_match_names_versions_and_never_by_a_weak_tag(header: str, versions: set[int]) -> None:
    assert versions_of(header) == versions


def test_a_star_names_whatever_there_is() -> None:
    assert versions_of(" * ") is None


def test_who_names_nothing_has_seen_nothing() -> None:
    with pytest.raises(Unseen, match="the header If-Match is missing"):
        versions_of(None)


@pytest.mark.parametrize("header", ['"7"', 'W/"7"', '"1", "7"', "*"])
def test_if_none_match_names_a_tag_weakly(header: str) -> None:
    assert is_among('"7"', header)
    assert not is_among('"8"', header.replace("*", '"7"'))
