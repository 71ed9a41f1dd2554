"""Every way of naming an asset on DANDI, and what is not one."""

import logging

import pytest

from spikeinterface_cloud.config.dandi_urls import AssetName, parse_asset_name
from spikeinterface_cloud.config.locations import DandiAsset, DandiBlob, parse_dandi
from spikeinterface_cloud.errors import SettingsError

BLOB = "blobs/11e/c89/11ec8933-1456-4942-922b-94e5878bb991"
ASSET = "0d3e8a1c-5d2b-4f6a-8c7e-9b1a2c3d4e5f"
API = "https://api.dandiarchive.org/api"
PUBLISHED = "0.220126.1855"

WHOLE = {
    # a dandiset, or a version of it
    "000006": "dandi://dandi/000006",
    "DANDI:000006": "dandi://dandi/000006",
    "dandi:000006": "dandi://dandi/000006",
    f"DANDI:000006/{PUBLISHED}": f"dandi://dandi/000006@{PUBLISHED}",
    "dandi://dandi/000006": "dandi://dandi/000006",
    "dandi://dandi/000006@draft": "dandi://dandi/000006@draft",
    "dandi://DANDI/000006@draft/": "dandi://dandi/000006@draft",
    "https://dandiarchive.org/dandiset/000006": "https://dandiarchive.org/dandiset/000006",
    f"https://dandiarchive.org/dandiset/000006/{PUBLISHED}/": (
        f"https://dandiarchive.org/dandiset/000006/{PUBLISHED}"
    ),
    "https://dandiarchive.org/dandiset/000006/draft/files?location=": (
        "https://dandiarchive.org/dandiset/000006/draft"
    ),
    "https://dandiarchive.org/#/dandiset/000006/draft": (
        "https://dandiarchive.org/dandiset/000006/draft"
    ),
    "https://gui.dandiarchive.org/#/dandiset/000006": "https://dandiarchive.org/dandiset/000006",
    "https://identifiers.org/DANDI:000006": "dandi://dandi/000006",
    f"https://doi.org/10.48324/dandi.000006/{PUBLISHED}": f"dandi://dandi/000006@{PUBLISHED}",
    f"{API}/dandisets/000006": f"{API}/dandisets/000006/",
    f"{API}/dandisets/000006/versions/draft/": f"{API}/dandisets/000006/versions/draft/",
    f"{API}/dandisets/000006/versions/draft/assets/": f"{API}/dandisets/000006/versions/draft/",
    # one asset
    ASSET: f"{API}/assets/{ASSET}",
    f"{API}/assets/{ASSET}": f"{API}/assets/{ASSET}",
    f"{API}/assets/{ASSET}/": f"{API}/assets/{ASSET}",
    f"{API}/assets/{ASSET}/download/": f"{API}/assets/{ASSET}",
    f"{API}/dandisets/000006/versions/draft/assets/{ASSET}/download": (
        f"{API}/dandisets/000006/versions/draft/assets/{ASSET}"
    ),
    # other archives
    f"dandi://dandi-sandbox/000006@{PUBLISHED}": f"dandi://dandi-sandbox/000006@{PUBLISHED}",
    "dandi://ember-dandi/000006": "dandi://ember-dandi/000006",
    "https://sandbox.dandiarchive.org/dandiset/000006": (
        "https://sandbox.dandiarchive.org/dandiset/000006"
    ),
    f"http://127.0.0.1:8772/api/assets/{ASSET}/": f"http://127.0.0.1:8772/api/assets/{ASSET}",
}

#: the sandbox under its former names
WHOLE |= dict.fromkeys(
    (
        f"https://dandiarchive.s3.amazonaws.com/zarr/{ASSET}/",
        f"https://dandiarchive.s3.us-east-2.amazonaws.com/zarr/{ASSET}",
        f"https://s3.amazonaws.com/dandiarchive/zarr/{ASSET}/",
        f"s3://dandiarchive/zarr/{ASSET}/",
    ),
    f"s3://dandiarchive/zarr/{ASSET}",
) | {f"{API}/zarr/{ASSET}/files/": f"{API}/zarr/{ASSET}"}

RENAMED = {
    "dandi://dandi-staging/000006": "dandi://dandi-sandbox/000006",
    "https://gui-staging.dandiarchive.org/#/dandiset/000006/draft": (
        "https://sandbox.dandiarchive.org/dandiset/000006/draft"
    ),
    f"https://api-staging.dandiarchive.org/api/assets/{ASSET}/download/": (
        f"https://api.sandbox.dandiarchive.org/api/assets/{ASSET}"
    ),
}

DRAFT_PAGE = "https://dandiarchive.org/dandiset/000006/draft"
DRAFT_API = f"{API}/dandisets/000006/versions/draft/"

SELECTED = {
    "dandi://dandi/000006@draft/sub-1/a.nwb": ("dandi://dandi/000006@draft", "path", "sub-1/a.nwb"),
    "dandi://dandi/000006/sub-1/": ("dandi://dandi/000006", "path", "sub-1"),
    "dandi://dandi/000006/sub-1/a.nwb/": ("dandi://dandi/000006", "path", "sub-1/a.nwb"),
    "dandi://dandi/000006/a%20b.nwb": ("dandi://dandi/000006", "path", "a b.nwb"),
    f"{DRAFT_PAGE}/files?location=sub-1%2Fa.nwb": (DRAFT_PAGE, "path", "sub-1/a.nwb"),
    f"{DRAFT_PAGE}/files?location=sub-1%2Fa.nwb&page=1": (DRAFT_PAGE, "path", "sub-1/a.nwb"),
    f"{DRAFT_PAGE}/files?page=2&location=sub-1": (DRAFT_PAGE, "path", "sub-1"),
    "https://gui.dandiarchive.org/#/dandiset/000006/draft/files?location=sub-1%2F": (
        DRAFT_PAGE,
        "path",
        "sub-1",
    ),
    f"{DRAFT_API}assets/?path=sub-1/a.nwb": (DRAFT_API, "prefix", "sub-1/a.nwb"),
    f"{DRAFT_API}assets/?path=sub-1%2Fa.nwb&metadata=true": (DRAFT_API, "prefix", "sub-1/a.nwb"),
    f"{DRAFT_API}assets?path=sub-1/": (DRAFT_API, "prefix", "sub-1/"),
    f"{DRAFT_API}assets/?glob=*.nwb": (DRAFT_API, "glob", "*.nwb"),
}

NOT_NAMES = [
    "",
    "6",
    "sub-1/a.nwb",
    "https://example.org/a.nwb",
    "https://dandiarchive.org/",
    "https://dandiarchive.org/dandiset/6",
    f"{API}/assets/11ec8933",
    "dandi://dandi/000006@latest/a.nwb",
    "https://dandiarchive.s3.amazonaws.com/zarr/11ec8933/",
]


@pytest.mark.parametrize(("text", "url"), WHOLE.items())
def test_dandiset_and_asset_identifiers_are_parsed(text: str, url: str) -> None:
    assert parse_asset_name(text) == AssetName(url=url)


@pytest.mark.parametrize(("text", "url"), RENAMED.items())
def test_former_sandbox_names_are_replaced_with_warning(
    text: str, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert parse_asset_name(text) == AssetName(url=url)
    assert "the archive renamed" in caplog.text


@pytest.mark.parametrize(("text", "parts"), SELECTED.items())
def test_paths_prefixes_and_globs_are_parsed(text: str, parts: tuple[str, str, str]) -> None:
    name = parse_asset_name(text)
    assert (name.url, name.selects, name.pattern) == parts


@pytest.mark.parametrize("text", NOT_NAMES)
def test_invalid_dandi_name_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"DANDISET_S3_FILE_URL .* does not name a DANDI asset"):
        parse_asset_name(text)


def test_the_signature_of_an_invalid_name_is_not_shown() -> None:
    url = "https://files.example/x.nwb?X-Amz-Signature=0a1b2c"
    for parse in (parse_asset_name, parse_dandi):
        with pytest.raises((SettingsError, ValueError)) as refused:
            parse(url.replace("https", "ftp"))
        assert "0a1b2c" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "covered"), [("sub-1/a.nwb", True), ("sub-1", True), ("sub-10/a.nwb", False)]
)
def test_path_covers_folder_but_not_longer_names(path: str, covered: bool) -> None:
    name = parse_asset_name("dandi://dandi/000006/sub-1")
    assert name.covers(path) is covered


@pytest.mark.parametrize(
    "url",
    [
        f"https://dandiarchive.s3.amazonaws.com/{BLOB}",
        f"https://dandiarchive.s3.us-east-2.amazonaws.com/{BLOB}",
        f"https://s3.amazonaws.com/dandiarchive/{BLOB}",
        f"s3://dandiarchive/{BLOB}",
        f"https://neurosift.app/?p=/nwb&url=https://dandiarchive.s3.amazonaws.com/{BLOB}",
    ],
)
def test_blob_and_asset_urls_are_distinguished(url: str) -> None:
    assert parse_dandi(url) == DandiBlob(bucket="dandiarchive", key=BLOB)


@pytest.mark.parametrize(
    "page",
    [
        f"https://neurosift.app/nwb?url={API}/assets/{ASSET}/download/&dandisetId=000006",
        f"https://flatironinstitute.github.io/neurosift/?p=/nwb&url={API}/assets/{ASSET}/download/",
    ],
)
def test_neurosift_link_yields_its_file(page: str) -> None:
    assert parse_dandi(page) == DandiAsset(url=f"{API}/assets/{ASSET}/download/")


@pytest.mark.parametrize("text", [*WHOLE, *RENAMED, *SELECTED])
def test_settings_accept_every_dandi_name(text: str) -> None:
    assert parse_dandi(text) == DandiAsset(url=text)
