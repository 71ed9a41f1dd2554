"""The contract: every variable of a job, read into one frozen `JobSettings`, and written back.

A field's name in capitals is its variable. The module imports neither SpikeInterface nor torch, so
that a laptop refuses a bad job before an instance is paid for.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic import ValidationError as PydanticValidationError

from spikeinterface_cloud.config.aws import find_aws_problems, find_dandi_problems
from spikeinterface_cloud.config.catalog.step_bands import rate_change_problems
from spikeinterface_cloud.config.catalog.validation import as_steps
from spikeinterface_cloud.config.conflicts import (
    SYNONYMS,
    find_ambiguous_synonyms,
    find_contradictions,
)
from spikeinterface_cloud.config.dandi_urls import check_dandi, check_dandiset
from spikeinterface_cloud.config.event_lines import check_events, parse_clock_lines
from spikeinterface_cloud.config.locations import (
    S3Location,
    Source,
    mask_signatures,
    mixed_with,
    parse_s3,
)
from spikeinterface_cloud.config.parsing import (
    Boolean,
    Count,
    JsonObject,
    Names,
    check_sorters,
    check_sorters_kwargs,
    check_split_by,
    nearest,
    parse_lowercase_names,
    parse_preprocessing,
    parse_streams,
    reject_duplicates,
    write,
)
from spikeinterface_cloud.config.quoting import find_text_problems, unquote
from spikeinterface_cloud.config.sources import Paths, Texts, parse_source
from spikeinterface_cloud.config.typos import find_misspelled
from spikeinterface_cloud.errors import SettingsError


class AwsSettings(BaseModel):
    """The connection to S3; boto3's credential chain fills in what is not given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    region_name: str | None = Field(default=None, description="region of the buckets")
    access_key_id: SecretStr | None = Field(default=None, description="key of an AWS user")
    secret_access_key: SecretStr | None = Field(default=None, description="secret of that key")
    session_token: SecretStr | None = Field(default=None, description="of temporary credentials")
    endpoint_url: str | None = Field(default=None, description="an S3 server other than AWS")
    requester_pays: Boolean = Field(default=False, description="pay for requests")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "AwsSettings":
        """Read these variables alone, for what has to be fetched before a job is known."""
        names = [*(f"AWS_{name.upper()}" for name in cls.model_fields), "AWS_ENDPOINT_URL_S3"]
        texts = {name: environ[name] for name in names if environ.get(name, "").strip()}
        given = unquote(texts)
        if problems := [*find_text_problems(texts, SECRETS), *find_aws_problems(given)]:
            raise SettingsError("\n".join(problems))
        values = {name.removeprefix("AWS_").lower(): text for name, text in given.items()}
        if endpoint := values.pop("endpoint_url_s3", None):
            values["endpoint_url"] = endpoint
        try:
            return cls.model_validate(values)
        except PydanticValidationError as error:
            lines = [f"AWS_{_describe(problem)}" for problem in error.errors()]
            raise SettingsError("\n".join(lines)) from error


class DandiAccess(BaseModel):
    """The key of a DANDI account, and the archive besides DANDI's own that may get it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_key: SecretStr | None = None
    instance_url: str | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "DandiAccess":
        """Read these variables alone, for listing a dandiset before a job is known."""
        names = ("DANDI_API_KEY", "DANDI_INSTANCE_URL")
        texts = {name: environ[name] for name in names if environ.get(name, "").strip()}
        given = unquote(texts)
        if problems := [*find_text_problems(texts, SECRETS), *find_dandi_problems(given)]:
            raise SettingsError("\n".join(problems))
        return cls.model_validate(
            {name: given.get(f"DANDI_{name.upper()}") for name in cls.model_fields}
        )


class JobSettings(BaseModel):
    """One job: its recording, the processing, and the target of the results."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    aws_s3_bucket: str | None = Field(default=None, description="source on S3: the bucket")
    aws_s3_bucket_folder: Texts = Field(
        default=None,
        description="source on S3: the folder, or the one object, in that bucket; a JSON list "
        "joins recordings of one probe, in order",
    )
    dandiset_s3_file_url: Annotated[Texts, AfterValidator(check_dandi)] = Field(
        default=None,
        description="source on DANDI: the asset's S3 URL, its API or web URL, "
        "or `dandi://instance/dandiset@version/path`; or a JSON list, as above",
    )
    source_folder: Paths = Field(
        default=None,
        description="source in a mounted folder (or file); or a JSON list, as above",
    )
    test_with_toy_recording: Boolean = Field(
        default=False,
        description="source simulated with known ground truth (the demo); "
        "`READ_RECORDING_KWARGS` then goes to SpikeInterface's generator",
    )
    data_type: str | None = Field(
        default=None,
        description="the SpikeInterface reader: `spikeglx`, `openephys`, `nwb`, `intan`, ..., "
        "`binary` or `zarr` for folders that SpikeInterface saved",
    )
    read_recording_kwargs: JsonObject = Field(
        default_factory=dict, description="JSON, passed to that reader"
    )
    probe_file: str | None = Field(
        default=None,
        description="a probeinterface JSON, when the data carries no probe: its path inside the "
        "source, or beside one that is a single file, or on S3 (`s3://bucket/probe.json`)",
    )
    test_with_sub_recording: Boolean = Field(
        default=False,
        description="sort only the first frames; of a remote NWB or Zarr, no others are read",
    )
    test_sub_recording_n_frames: Count = Field(default=300_000, description="how many frames")
    preprocessing: Annotated[
        Literal["default", "none"] | dict[str, Any] | list[dict[str, Any]],
        BeforeValidator(parse_preprocessing),
    ] = Field(
        default="default",
        description="`default` (chosen by probe and sorters), `none`, or JSON in the form of "
        "SpikeInterface's `PreprocessingPipeline`",
    )
    sorters: Annotated[Names, AfterValidator(check_sorters)] = Field(
        description="the sorters, in order: comma-separated names, or a JSON list"
    )
    sorters_kwargs: Annotated[JsonObject, AfterValidator(check_sorters_kwargs)] = Field(
        default_factory=dict, description="JSON, parameters by sorter name"
    )
    split_by: Annotated[str, AfterValidator(check_split_by)] | None = Field(
        default=None,
        description="a property of the channels, like `group`: each shank, probe or tetrode that "
        "it tells apart is sorted by itself; unset: one sort",
    )
    streams: Annotated[tuple[str, ...], BeforeValidator(parse_streams)] | None = Field(
        default=None,
        description="a session: its streams, each sorted by itself, one after the other, and then "
        "gathered: `all`, or comma-separated names like `imec0.ap` (or a JSON list)",
    )
    clock: str | None = Field(
        default=None,
        description="the stream of a session whose clock the others are aligned to, like `nidq`; "
        "`none`: each keeps its own; default: NI-DAQ's, else the first stream's",
    )
    clock_line: Annotated[tuple[str, ...], BeforeValidator(parse_clock_lines)] = Field(
        default=(),
        description="lines with sync pulses where the files do not say it, like "
        "`nidq:line3,ProbeA-AP:line1`; an analog input (`nidq:XA2`) has its threshold in `EVENTS`",
    )
    events: Annotated[JsonObject, AfterValidator(check_events)] = Field(
        default_factory=dict,
        description="JSON, analog inputs whose pulses are events, as those of digital lines are, "
        'with their thresholds: `{"nidq:XA2": {"threshold_v": 1.5}}`',
    )
    exports: Annotated[
        tuple[Literal["nwb", "phy"], ...],
        BeforeValidator(parse_lowercase_names),
        AfterValidator(reject_duplicates),
    ] = Field(default=(), description="any of `nwb`, `phy`")
    archive: Annotated[Literal["none", "zarr"], BeforeValidator(str.lower)] = Field(
        default="none",
        description="`zarr`: keep the recording as it was read, compressed, beside the results",
    )
    target_aws_s3_bucket: str | None = Field(
        default=None, description="results go to this bucket; unset: to the results folder only"
    )
    target_aws_s3_bucket_folder: str | None = Field(
        default=None, description="and to this folder in it"
    )
    target_dandiset: Annotated[str, AfterValidator(check_dandiset)] | None = Field(
        default=None,
        description="a draft dandiset that the units' NWB file is uploaded to, besides: its "
        "number, `dandi://dandi-sandbox/000123`, or its page; needs `EXPORTS=nwb`, "
        "`DANDI_API_KEY`, and a source that is NWB",
    )
    results_folder: Path | None = Field(
        default=None, description="default: `/results` in the container, `./results` outside"
    )
    scratch_folder: Path | None = Field(
        default=None,
        description="default: `/scratch` where there is one, else a temporary folder",
    )
    overwrite: Boolean = Field(
        default=False,
        description="replace the results of another job at the target, in the results folder and "
        "in the draft dandiset; else the job is refused (exit code 73)",
    )
    run_identifier: str | None = Field(
        default=None, description="a name for the run, in its logs and `run.json`"
    )
    manifest_url: str | None = Field(
        default=None,
        description="many recordings: the list on S3 that `AWS_BATCH_JOB_ARRAY_INDEX` selects a "
        "line from; its variables take precedence",
    )
    n_jobs: Count | None = Field(
        default=None,
        description="CPU workers; default: the CPUs this container may use, or fewer where its "
        "memory is too small for so many",
    )
    aws_region_name: str | None = Field(default=None, description="the region of the buckets")
    aws_access_key_id: SecretStr | None = Field(
        default=None, description="credentials, where no job role gives them"
    )
    aws_secret_access_key: SecretStr | None = Field(default=None, description="the same")
    aws_session_token: SecretStr | None = Field(default=None, description="the same")
    aws_endpoint_url: str | None = Field(default=None, description="an S3 server other than AWS")
    aws_endpoint_url_s3: str | None = Field(
        default=None, description="the same, for S3 only; takes precedence over `AWS_ENDPOINT_URL`"
    )
    aws_requester_pays: Boolean = Field(
        default=False, description="read requester-pays buckets, whose charges your account pays"
    )
    dandi_api_key: SecretStr | None = Field(
        default=None, description="for embargoed dandisets, and for `TARGET_DANDISET`"
    )
    dandi_instance_url: str | None = Field(
        default=None,
        description="the API of an archive other than DANDI's own, which may get `DANDI_API_KEY`, "
        "like `https://api.dandi.my-lab.org/api`",
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "JobSettings":
        """Read the variables of `environ`; an empty one is an unset one.

        Raises SettingsError (with every problem at once, a line each, by variable name).
        """
        texts = {SYNONYMS.get(name, name): text for name, text in environ.items() if text.strip()}
        known = variable_names()
        problems = [
            f"{name}: not a variable of this program; did you mean {meant}?"
            for name, meant in sorted(find_misspelled(texts, [*known, *SYNONYMS]).items())
        ]
        texts = {name: text for name, text in texts.items() if name in known}
        given = unquote(texts)
        problems += find_text_problems(texts, SECRETS)
        problems += [*find_ambiguous_synonyms(environ), *find_contradictions(given)]
        values = {name.lower(): text for name, text in given.items()}
        try:
            settings = cls.model_validate(values)
        except PydanticValidationError as error:
            problems += [_describe(problem) for problem in error.errors()]
        else:
            problems += settings._inconsistencies()
        if problems:
            raise SettingsError("\n".join(problems))
        return settings

    def to_env(self) -> dict[str, str]:
        """Return the given variables, also those that equal a default, without secrets."""
        return {
            name.upper(): write(value)
            for name, value in self
            if name in self.model_fields_set and not isinstance(value, SecretStr | None)
        }

    def masked(self) -> dict[str, str]:
        """Return what differs from the defaults, for logs and `run.json`, without secrets."""
        fields = type(self).model_fields
        return {
            name.upper(): _mask(value)
            for name, value in self
            if value != fields[name].get_default(call_default_factory=True)
        }

    def _inconsistencies(self) -> list[str]:
        """Return the contradictions between valid variables."""
        unlisted = "which SORTERS does not list"
        problems = [
            f"SORTERS_KWARGS: has parameters for {name}, {unlisted}{nearest(name, self.sorters)}"
            for name in self.sorters_kwargs
            if name not in self.sorters
        ]
        with suppress(ValueError):  # a location that cannot be read is a problem of its own
            if self.target and (where := mixed_with(self.source, self.target)):
                problems.append(
                    f"TARGET_AWS_S3_BUCKET_FOLDER: {self.target} is {where}, and results must not "
                    "be mixed with recordings; name another folder"
                )
        if self.test_with_toy_recording and not isinstance(self.preprocessing, str):
            problems += rate_change_problems(as_steps(self.preprocessing))
        return problems

    @property
    def source(self) -> Source:
        """Return the location of the recording."""
        return parse_source(
            self.aws_s3_bucket,
            self.aws_s3_bucket_folder,
            self.dandiset_s3_file_url,
            self.source_folder,
        )

    @property
    def target(self) -> S3Location | None:
        """Return the location of the results besides the results folder."""
        if self.target_aws_s3_bucket is None:
            return None
        return parse_s3(self.target_aws_s3_bucket, self.target_aws_s3_bucket_folder)

    @property
    def reader(self) -> str:
        """Return the SpikeInterface reader; assets of DANDI are NWB."""
        return self.data_type or "nwb"

    @property
    def wants_sync(self) -> bool:
        """Return whether the stream's clock will be aligned with those of its session."""
        return self.streams is None and self.clock not in (None, "none")

    @property
    def dandi(self) -> DandiAccess:
        """Return the access to the archive."""
        return DandiAccess(api_key=self.dandi_api_key, instance_url=self.dandi_instance_url)

    @property
    def sorter_parameters(self) -> dict[str, dict[str, Any]]:
        """Return the given parameters for every sorter, in order."""
        return {sorter: self.sorters_kwargs.get(sorter, {}) for sorter in self.sorters}

    @property
    def sub_recording_n_frames(self) -> int | None:
        """Return the number of frames to sort, or None for all."""
        return self.test_sub_recording_n_frames if self.test_with_sub_recording else None

    @property
    def aws(self) -> AwsSettings:
        """Return the connection to S3."""
        return AwsSettings(
            region_name=self.aws_region_name,
            access_key_id=self.aws_access_key_id,
            secret_access_key=self.aws_secret_access_key,
            session_token=self.aws_session_token,
            endpoint_url=self.aws_endpoint_url_s3 or self.aws_endpoint_url,
            requester_pays=self.aws_requester_pays,
        )


#: the variables whose values are shown nowhere
SECRETS = frozenset(
    name.upper()
    for name, field in JobSettings.model_fields.items()
    if SecretStr in get_args(field.annotation)
)


def variable_names() -> list[str]:
    """Return every variable of this program, in the order of the contract."""
    return [name.upper() for name in JobSettings.model_fields]


def _describe(problem: Any) -> str:
    name = str(problem["loc"][0]).upper()
    if problem["type"] == "missing":
        return f"{name}: missing; {JobSettings.model_fields[name.lower()].description}"
    reason = problem["msg"].removeprefix("Value error, ").removeprefix(f"{name} ")
    if problem["type"] != "value_error":
        reason = f"{reason[0].lower()}{reason[1:]}, got {problem['input']!r}"
    return f"{name}: {reason}"


def _mask(value: Any) -> str:
    if isinstance(value, SecretStr):
        return "***"
    return mask_signatures(write(value))
