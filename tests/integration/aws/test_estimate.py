"""`submit_job.py estimate` as a user calls it: sizes are looked up where the recordings are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spikeinterface_cloud.prices import INSTANCE_SPECS
from tests.support.batch_server import AwsServer
from tests.support.dandi_stand_in import DandiStandIn
from tests.support.laptop import Laptop

pytestmark = pytest.mark.integration

BUCKET = "lab-raw"


#: as IBL has one in the name of each file
UUID = "0a1b2c3d-0000-4000-8000-0123456789ab"


@pytest.fixture(scope="module")
def raw(account: AwsServer) -> str:
    """A bucket with SpikeGLX runs of two probes, an NWB file, and what a console leaves behind."""
    s3 = account.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for key, size_bytes in {
        "raw/": 0,
        "raw/day1/run_g0_t0.imec0.ap.bin": 4_000,
        "raw/day1/run_g0_t0.imec0.lf.bin": 300,
        "raw/day1/run_g0_t0.imec1.ap.bin": 5_000,
        "raw/day1/run_g0_t0.imec1.ap.meta": 20,
        f"ibl/probe00/run_g0_t0.imec0.ap.{UUID}.cbin": 700,
        f"ibl/probe00/run_g0_t0.imec0.lf.{UUID}.cbin": 300,
        "raw/day10/other.dat": 70,
        "raw/day2/amplifier.dat": 2_000,
        "raw/session.nwb": 600,
        "raw/blobs/11e/c89/11ec8933-1456-4942-922b-94e5878bb991": 50,
    }.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=bytes(size_bytes))
    return BUCKET


def estimate(laptop: Laptop, *arguments: str, **env: str) -> Any:
    """What `--json` says; the command has to go well."""
    done = laptop.run("estimate", *arguments, "--json", env=env)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_a_recorded_time_is_enough_and_nobody_is_asked(laptop: Laptop, aws: AwsServer) -> None:
    done = laptop.run("estimate", "--duration", "78min", env={"AWS_SECRET_ACCESS_KEY": None})
    assert done.returncode == 0, done.stderr
    assert aws.calls == []
    lines = done.stdout.splitlines()
    assert lines[0].startswith("the recording: 108 GB, 1.3 hours of 384 channels at 30 kHz")
    assert " ".join(lines[2].split()) == "instance GPU hours USD on demand USD on Spot"
    assert {line.split()[0] for line in lines[3 : 3 + len(INSTANCE_SPECS)]} == set(INSTANCE_SPECS)


@pytest.mark.parametrize(
    ("size", "gigabytes"),
    [("25GB", 25.0), ("25000000000", 25.0), ("2.5 tb", 2500.0), ("1GiB", 1.074)],
)
def test_bytes_are_written_as_people_do(laptop: Laptop, size: str, gigabytes: float) -> None:
    found = estimate(laptop, "--size", size, "--instance-type", "g6.2xlarge", "--scratch", "ebs")
    [recording] = found["recordings"]
    assert recording["fetchedGb"] == pytest.approx(gigabytes, rel=1e-3)
    assert [each["instanceType"] for each in found["instances"]] == ["g6.2xlarge"]


@pytest.mark.parametrize("duration", ["1.5h", "90min", "90m", "5400"])
def test_times_are_written_as_people_do(laptop: Laptop, duration: str) -> None:
    options = ("--channels", "32", "--sampling-rate", "20000", "--instance-type", "m5.xlarge")
    found = estimate(laptop, "--duration", duration, "--sorters", "simple", *options)
    [recording] = found["recordings"]
    assert recording["seconds"] == {"low": 5400.0, "likely": 5400.0, "high": 5400.0}
    assert recording["samplesGb"]["likely"] == pytest.approx(5400 * 32 * 20_000 * 2 / 1e9)


def test_json_has_the_parts_with_their_rates_on_every_instance(laptop: Laptop) -> None:
    found = estimate(laptop, "--size", "25GB", "--sorters", '["kilosort4", "simple"]')
    assert found["prices"]["region"] == "us-east-1"
    assert len(found["instances"]) == len(INSTANCE_SPECS)
    for each in found["instances"]:
        names = [part["name"] for part in each["parts"]]
        assert names[:4] == ["start", "fetch", "preprocess", "sort with kilosort4"]
        assert {part["rate"]["origin"] for part in each["parts"]} <= {
            "measured here",
            "published by others",
            "assumed",
        }
        seconds = sum(part["seconds"]["likely"] for part in each["parts"])
        assert each["hours"]["likely"] == pytest.approx(seconds / 3600, rel=0.01)
        assert each["possible"] is not bool(each["obstacles"])


def test_metadata_of_a_compressed_recording_say_how_long_it_is(
    laptop: Laptop, account: AwsServer, raw: str
) -> None:
    array = {"shape": [30_000 * 3600, 96], "dtype": "<i2"}
    metadata = {"metadata": {"traces_seg0/.zarray": array, "times_seg0/.zarray": {"shape": [9]}}}
    s3 = account.client("s3")
    s3.put_object(Bucket=raw, Key="raw/a.zarr/.zmetadata", Body=json.dumps(metadata).encode())
    s3.put_object(Bucket=raw, Key="raw/a.zarr/traces_seg0/0.0", Body=bytes(7_000))
    source = f"s3://{raw}/raw/a.zarr"
    found = estimate(laptop, "--source", source, "--instance-type", "g5.xlarge")
    [recording] = found["recordings"]
    assert recording["samplesGb"] == dict.fromkeys(("low", "likely", "high"), 20.74)
    assert recording["seconds"] == dict.fromkeys(("low", "likely", "high"), 3600.0)
    assert recording["fetchedGb"] < 0.001


@pytest.mark.parametrize(
    ("source", "size_bytes"),
    [
        ("raw/day1", 5_000),
        ("raw/day10/", 70),
        ("raw/day2", 2_000),
        ("raw/session.nwb", 600),
        ("raw/blobs/11e/c89/11ec8933-1456-4942-922b-94e5878bb991", 50),
    ],
)
def test_a_source_on_s3_is_looked_up(
    laptop: Laptop, raw: str, source: str, size_bytes: int
) -> None:
    found = estimate(laptop, "--source", f"s3://{raw}/{source}", "--instance-type", "g5.xlarge")
    [recording] = found["recordings"]
    assert recording["fetchedGb"] == pytest.approx(size_bytes / 1e9)
    compressed = recording["samplesGb"]["high"] > recording["samplesGb"]["low"]
    assert compressed is source.endswith(".nwb")


def test_the_blob_of_an_asset_is_looked_up(laptop: Laptop, aws: AwsServer) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="dandiarchive")
    key = "blobs/11e/c89/11ec8933-1456-4942-922b-94e5878bb991"
    s3.put_object(Bucket="dandiarchive", Key=key, Body=bytes(80))
    url = f"https://dandiarchive.s3.amazonaws.com/{key}"
    found = estimate(laptop, "--source", url, "--instance-type", "g5.xlarge")
    [recording] = found["recordings"]
    assert recording["fetchedGb"] == pytest.approx(80 / 1e9)
    assert recording["samplesGb"]["high"] > recording["samplesGb"]["low"]


@pytest.mark.parametrize(
    ("folder", "largest"),
    [
        ("raw/day1", "run_g0_t0.imec1.ap.bin"),
        ("ibl/probe00", f"run_g0_t0.imec0.ap.{UUID}.cbin"),
    ],
)
def test_of_a_spikeglx_folder_one_band_is_counted_and_named(
    laptop: Laptop, raw: str, folder: str, largest: str
) -> None:
    found = estimate(laptop, "--source", f"s3://{raw}/{folder}", "--instance-type", "g5.xlarge")
    [note] = found["prices"]["notes"]
    assert note.endswith(f"the largest: of s3://lab-raw/{folder} {largest}")


def test_joined_recordings_add_up(laptop: Laptop, raw: str) -> None:
    sources = [f"s3://{raw}/raw/{name}" for name in ("day1", "day2")]
    both = ("--source", sources[0], "--source", sources[1])
    found = estimate(laptop, *both, "--instance-type", "g5.xlarge")
    assert [each["fetchedGb"] for each in found["recordings"]] == [7e-6]
    assert found["prices"]["notes"][0].endswith(f"of {sources[0]} run_g0_t0.imec1.ap.bin")
    (laptop.folder / "days.csv").write_text(
        f'AWS_S3_BUCKET,AWS_S3_BUCKET_FOLDER\n{raw},"[""raw/day1"", ""raw/day2""]"\n'
    )
    listed = estimate(laptop, "--csv", "days.csv", "--instance-type", "g5.xlarge")
    assert [each["fetchedGb"] for each in listed["recordings"]] == [7e-6]


def test_a_prefix_is_listed_and_its_recordings_add_up(laptop: Laptop, raw: str) -> None:
    one = estimate(laptop, "--source", f"s3://{raw}/raw/day2", "--instance-type", "g5.xlarge")
    prefix = ("--source-prefix", f"s3://{raw}/raw", "--match", "day*/")
    found = estimate(laptop, *prefix, "--instance-type", "g5.xlarge")
    sizes = {each["label"]: each["fetchedGb"] for each in found["recordings"]}
    assert sizes == {"day1": 9.32e-6, "day10": 7e-8, "day2": 2e-6}
    [all_of_them], [alone] = found["instances"], one["instances"]
    assert all_of_them["hours"]["likely"] == pytest.approx(3 * alone["hours"]["likely"], rel=0.05)
    assert all_of_them["longestJobHours"]["likely"] < 0.5 * all_of_them["hours"]["likely"]


def test_the_rows_of_a_table_are_looked_up(laptop: Laptop, raw: str) -> None:
    (laptop.folder / "jobs.csv").write_text(
        "AWS_S3_BUCKET,AWS_S3_BUCKET_FOLDER,DATA_TYPE,SORTERS\n"
        f"{raw},raw/day1,spikeglx,\n{raw},raw/session.nwb,nwb,simple\n"
    )
    found = estimate(laptop, "--csv", "jobs.csv", "--instance-type", "g5.xlarge")
    sizes = [(each["label"], each["fetchedGb"]) for each in found["recordings"]]
    assert sizes == [("line 2", 5e-6), ("line 3", 6e-7)]
    assert any("--sorters is estimated instead" in note for note in found["prices"]["notes"])


@pytest.mark.parametrize("place", ["environment", "file"])
def test_rows_have_the_bucket_of_the_environment_as_in_a_submission(
    laptop: Laptop, raw: str, place: str
) -> None:
    variables = {"SOURCE_AWS_S3_BUCKET": raw}
    if place == "file":
        (laptop.folder / ".env").write_text(f"SOURCE_AWS_S3_BUCKET={raw}\n")
    (laptop.folder / "jobs.csv").write_text("AWS_S3_BUCKET_FOLDER\nraw/day1\nraw/day2\n")
    env = variables if place == "environment" else {}
    found = estimate(laptop, "--csv", "jobs.csv", "--instance-type", "g5.xlarge", **env)
    assert [each["fetchedGb"] for each in found["recordings"]] == [5e-6, 2e-6]


def test_rows_without_a_source_have_that_of_the_environment_and_not_of_the_file(
    laptop: Laptop, raw: str
) -> None:
    (laptop.folder / ".env").write_text("DANDISET_S3_FILE_URL=000003\n")
    (laptop.folder / "jobs.csv").write_text("RUN_IDENTIFIER\na\nb\n")
    env = {"AWS_S3_BUCKET": raw, "AWS_S3_BUCKET_FOLDER": "raw/day2"}
    found = estimate(laptop, "--csv", "jobs.csv", "--instance-type", "g5.xlarge", **env)
    assert [each["fetchedGb"] for each in found["recordings"]] == [2e-6, 2e-6]


def test_every_row_that_cannot_be_looked_up_is_named(laptop: Laptop, raw: str) -> None:
    (laptop.folder / "jobs.csv").write_text(
        "AWS_S3_BUCKET,AWS_S3_BUCKET_FOLDER,SOURCE_FOLDER\n"
        f"{raw},raw/none,\n,,/data\n{raw},raw/day2,\nno-such-bucket,raw,\n"
    )
    done = laptop.run("estimate", "--csv", "jobs.csv")
    assert done.returncode == 66
    assert done.stdout == ""
    told = [line.partition(": ")[2] for line in done.stderr.splitlines()]
    assert [line.partition(":")[0] for line in told] == ["line 2", "line 3", "line 5"]
    assert "s3://lab-raw/raw/none holds no objects" in told[0]
    assert "no source on S3 or DANDI" in told[1]
    assert "there is no bucket no-such-bucket" in told[2]


def test_a_dandiset_and_a_file_of_it_are_looked_up(laptop: Laptop, tmp_path: Path) -> None:
    with DandiStandIn() as archive:
        for name, size_bytes in (("sub-1/a.nwb", 100), ("sub-2/b.nwb", 7)):
            file = tmp_path / Path(name).name
            file.write_bytes(bytes(size_bytes))
            archive.add_asset("000003", name, file)
        folder = tmp_path / "zarr"
        folder.mkdir()
        (folder / ".zgroup").write_bytes(bytes(40))
        asset = archive.add_zarr("000003", "sub-4/d.nwb.zarr", folder)
        dandiset = f"{archive.api_url}/dandisets/000003/versions/draft/"
        env = {"DANDI_INSTANCE_URL": archive.api_url}
        every = estimate(laptop, "--dandiset", dandiset, "--instance-type", "g5.xlarge", **env)
        some = estimate(laptop, "--dandiset", dandiset, "--glob", "sub-2/*", **env)
        one = estimate(laptop, "--source", f"{dandiset}assets/?path=sub-1/a.nwb", **env)
        stored = estimate(laptop, "--source", f"s3://dandiarchive/zarr/{asset.content}/", **env)
        by_id = estimate(laptop, "--source", archive.asset_url(asset), **env)
        nothing = laptop.run("estimate", "--source", f"{dandiset}assets/?path=sub-3/a.nwb", env=env)
    labels = [(each["label"], each["fetchedGb"]) for each in every["recordings"]]
    assert labels == [("sub-1/a.nwb", 1e-7), ("sub-2/b.nwb", 7e-9), ("sub-4/d.nwb.zarr", 4e-8)]
    for found in (stored, by_id, every):
        assert found["recordings"][-1]["fetchedGb"] == 4e-8
        [note] = [each for each in found["prices"]["notes"] if "is a guess" in each]
        assert note.endswith("is a guess: it has no .zmetadata")
    assert [each["label"] for each in some["recordings"]] == ["sub-2/b.nwb"]
    assert [each["fetchedGb"] for each in one["recordings"]] == [1e-7]
    assert nothing.returncode == 66
    assert "has no NWB file sub-3/a.nwb with a recording" in nothing.stderr


def test_a_typed_price_wins_over_the_file_and_the_file_over_the_table(laptop: Laptop) -> None:
    (laptop.folder / "prices.json").write_text('{"on_demand": {"g5.xlarge": 2, "g6.xlarge": 3}}')
    found = estimate(
        laptop, "--size", "25GB", "--prices", "prices.json", "--price", "g5.xlarge=1.5"
    )
    prices = {each["instanceType"]: each["onDemandUsdPerHour"] for each in found["instances"]}
    assert (prices["g5.xlarge"], prices["g6.xlarge"], prices["g4dn.xlarge"]) == (1.5, 3, 0.526)
    alone = estimate(laptop, "--size", "1GB", "--instance-type", "g5.xlarge", "--price", "0.7")
    assert [each["onDemandUsdPerHour"] for each in alone["instances"]] == [0.7]


def test_the_region_of_the_environment_is_heeded(laptop: Laptop) -> None:
    done = laptop.run(
        "estimate", "--size", "1GB", env={"AWS_DEFAULT_REGION": "eu-central-1"}
    )  # fmt: skip
    assert "The price table has no eu-central-1: these are the prices of us-east-1" in done.stdout


def test_the_region_of_the_profile_is_heeded(laptop: Laptop) -> None:
    config = laptop.folder / "config"
    config.write_text("[profile lab]\nregion = eu-central-1\n")
    env = {"AWS_DEFAULT_REGION": None, "AWS_CONFIG_FILE": str(config)}
    done = laptop.run("estimate", "--size", "1GB", "--profile", "lab", env=env)
    assert "The price table has no eu-central-1: these are the prices of us-east-1" in done.stdout
    done = laptop.run("estimate", "--size", "1GB", "--profile", "none", env=env)
    assert done.returncode == 1
    assert "The config profile (none) could not be found; `aws configure" in done.stderr


def test_the_sorters_may_be_those_of_the_environment(laptop: Laptop) -> None:
    one = ("--size", "1GB", "--instance-type", "m5.xlarge")
    assert estimate(laptop, *one, SORTERS="simple, lupin")["sorters"] == ["simple", "lupin"]
    assert estimate(laptop, *one, "--sorters", "simple", SORTERS="lupin")["sorters"] == ["simple"]
    (laptop.folder / ".env").write_text("SORTERS=tridesclous2\n")
    assert estimate(laptop, *one)["sorters"] == ["tridesclous2"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "the size of the recordings is missing; give one of --source URL, --size 25GB"),
        (["--size", "1GB", "--duration", "1h"], 2, "--size and --duration: give one of them."),
        (["--source", "s3://a/b", "--source-prefix", "s3://a/"], 2, "--source and --source-prefix"),
        (["--duration=-5min"], 2, "'-5min' must be greater than 0"),
        (["--duration", "0"], 2, "'0' must be greater than 0"),
        (["--duration", "5 parsecs"], 2, "'5 parsecs' is not understood; write it like 78min"),
        (["--size=-3GB"], 2, "'-3GB' must be greater than 0"),
        (["--size", "3 apples"], 2, "'3 apples' is not understood; write it like 25GB, 20GiB"),
        (["--size", "9" * 400], 2, "must be greater than 0, and finite."),
        (["--size", "1GB", "--channels", "0"], 2, "Invalid value for '--channels'"),
        (["--size", "1GB", "--sampling-rate", "0"], 2, "Invalid value for '--sampling-rate'"),
        (["--size", "1GB", "--match", "*/"], 2, "--match goes with --source-prefix."),
        (["--size", "1GB", "--glob", "*"], 2, "--glob goes with --dandiset."),
        (
            ["--size", "1GB", "--instance-type", "g5.2xlage"],
            2,
            "'g5.2xlage' is not an instance type of the table; did you mean g5.2xlarge?",
        ),
        (["--size", "1GB", "--price", "0.7"], 2, "--price without a TYPE goes with one"),
        (["--size", "1GB", "--price", "g5.xlarge=dear"], 2, "is not a price; write it like g4dn"),
        (["--size", "1GB", "--price", "g5.xlarge=-1"], 2, "is not a price above 0."),
        (["--size", "1GB", "--price", "p9.xlarge=1"], 2, "'p9.xlarge' is not an instance type of"),
        (["--size", "1GB", "--scratch", "tape"], 2, "'tape' is not one of 'nvme', 'ebs'"),
        (["--size", "1GB", "--prices", "none.json"], 2, "'none.json' does not exist"),
        (
            ["--size", "1GB", "--sorters", "kilosort44"],
            78,
            "SORTERS: kilosort44 is not a sorter of SpikeInterface; did you mean kilosort4?",
        ),
        (
            ["--size", "1GB", "--sorters", "herdingspikes"],
            78,
            "SORTERS: the speed of herdingspikes is unknown; estimates are available for kilosort4",
        ),
        (["--size", "1GB", "--sorters", ","], 78, "SORTERS: no name; give one"),
        (["--size", "1GB", "--sorters", "[1]"], 78, "SORTERS: '[1]' holds something that is"),
        (["--source", "/data/session1"], 78, "--source: '/data/session1' is not on S3 or DANDI"),
        (["--source", "s3://No Bucket/a"], 78, "--source: 's3://No Bucket/a' is not the name of"),
        (["--source", "s3://lab-raw/raw/none"], 66, "s3://lab-raw/raw/none holds no objects"),
        (["--source", "s3://no-such-bucket/a"], 1, "there is no bucket no-such-bucket"),
        (["--source-prefix", "s3://lab-raw/none"], 66, "holds nothing that matches */"),
        (
            ["--source", "dandi://dandi/000006@draft"],
            78,
            "dandi://dandi/000006@draft is a dandiset; name one asset",
        ),
    ],
)  # fmt: skip
def test_invalid_estimate_is_refused(
    laptop: Laptop, raw: str, arguments: list[str], code: int, message: str
) -> None:
    done = laptop.run("estimate", *arguments)
    assert message in done.stderr
    assert done.returncode == code
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_bad_file_of_prices_is_refused(laptop: Laptop) -> None:
    (laptop.folder / "prices.json").write_text('{"on_demand": {"g5.xlarge": 0}, "more": 1}')
    done = laptop.run("estimate", "--size", "1GB", "--prices", "prices.json")
    assert done.returncode == 78
    assert [line.split(": ")[3] for line in done.stderr.splitlines()] == [
        "on_demand.g5.xlarge",
        "more",
    ]
