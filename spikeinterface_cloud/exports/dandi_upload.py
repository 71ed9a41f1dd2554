"""The units on DANDI: whether the archive would take them, and their upload to a draft dandiset."""

import hashlib
import logging
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spikeinterface_cloud import __version__
from spikeinterface_cloud.config.settings import DandiAccess
from spikeinterface_cloud.dandi.upload import (
    check_replaceable,
    find_draft,
    is_in_draft,
    upload,
    validate,
)
from spikeinterface_cloud.errors import CloudJobError, TargetError
from spikeinterface_cloud.exports.export import ExportPlan, why_not_for_archives
from spikeinterface_cloud.exports.nwb_session import Session, sanitized
from spikeinterface_cloud.results.layout import UNITS
from spikeinterface_cloud.results.outcomes import ExportRun
from spikeinterface_cloud.results.run_schema import ExportEntry
from spikeinterface_cloud.runtime.disk import disk_errors

logger = logging.getLogger(__name__)

#: entities of a file name in the order of BIDS, such as `_run-01`
ENTITY = re.compile(r"(?<=_)(?P<key>[a-z]+)-(?P<value>[A-Za-z0-9+-]+)(?=[_.])")

#: those that the file names of DANDI may have; others become part of the description
KEPT_ENTITIES = ("tis", "slice", "cell", "probe", "obj")
NAMED_ENTITIES = (*KEPT_ENTITIES, "ses", "desc")

#: the characters that the archive takes in the path of an asset
ARCHIVE_CHARACTERS = re.compile(r"[A-Za-z0-9(),&#+~_=./\[\]^`\\ -]")

#: hexadecimal digits that stand for a source whose name says nothing
SOURCE_DIGITS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class DandiTarget:
    """The draft dandiset for the units of a job."""

    dandiset: str
    access: DandiAccess
    #: of what the units of each sorter are made of, by sorter
    fingerprints: Mapping[str, str]
    #: whether assets of other jobs are replaced
    overwrite: bool


def asset_path(session: Session, source: Mapping[str, Any], sorter: str) -> str:
    """Return the path of a sorter's units in a dandiset, a different one for each recording.

    Entities of the source's file name are kept. A name without any, such as that of a blob or of a
    file of one's own, is replaced by a digest of the source's location. `source` is as in
    `run.json`.
    """
    subject = session.subject.get("subject_id")
    if not subject:
        raise TargetError("TARGET_DANDISET: the source has no subject_id; add it to the NWB file")
    location = str(source.get("path") or source.get("location") or "").partition("?")[0]
    name = location.rpartition("/")[2]
    entities = ENTITY.findall(name) if name.startswith("sub-") else []
    start = session.archive_name
    if not session.fields.get("session_id"):  # sessions of one subject must not replace each other
        named = dict(entities).get("ses", f"{session.start:%Y%m%dT%H%M%S}")
        start += f"_ses-{named}"
    kept = "".join(f"_{key}-{value}" for key, value in entities if key in KEPT_ENTITIES)
    described = [value for key, value in entities if key == "desc"]
    described += [f"{key}-{value}" for key, value in entities if key not in NAMED_ENTITIES]
    if not name.startswith("sub-"):
        described.append(hashlib.sha256(location.encode()).hexdigest()[:SOURCE_DIGITS])
    parts = [*described, session.series, sorter]
    description = "-".join(sanitized(part) for part in parts if part)
    path = f"sub-{sanitized(str(subject))}/{start}{kept}_desc-{description}_ecephys.nwb"
    refused = sorted(set(ARCHIVE_CHARACTERS.sub("", path)))
    if refused:
        raise TargetError(
            f"TARGET_DANDISET: the archive takes no {' '.join(refused)} in a path such as {path}; "
            "rename the subject, the session or the series in the source's NWB file"
        )
    return path


def check_session(plan: ExportPlan, target: DandiTarget, scratch: Path) -> None:
    """Check before sorting that the archive would take the units of this session.

    The rules are tried on a file without units, and the draft must not have another job's units.
    """
    assert plan.session is not None
    if reason := why_not_for_archives(plan.session):
        raise TargetError(
            f"TARGET_DANDISET: the archive would not take the units: {reason}; complete the "
            "source's metadata, or leave TARGET_DANDISET out"
        )
    paths = {name: asset_path(plan.session, plan.source, name) for name in target.fingerprints}
    # imported here, as pynwb takes half a second, which a job that is refused would wait for
    from spikeinterface_cloud.exports.nwb_file import make_nwbfile, write_nwbfile

    file = scratch / "session.nwb"
    with disk_errors(file):
        trial = make_nwbfile(plan.session, {"spikeinterface_cloud": __version__})
        write_nwbfile(trial, plan.session, file)
    try:
        validate(file, next(iter(paths.values())))
    finally:
        file.unlink()
    if not target.overwrite:
        draft = find_draft(target.dandiset, target.access)
        for sorter, fingerprint in target.fingerprints.items():
            check_replaceable(draft, fingerprint, paths[sorter])


def are_uploaded(target: DandiTarget, exports: Iterable[ExportEntry]) -> bool:
    """Return whether the draft still has the units that an earlier attempt has put there."""
    draft = find_draft(target.dandiset, target.access)
    uploaded = {run.sorter: run.path for run in exports if run.export == "dandi"}
    return all(
        is_in_draft(draft, target.fingerprints[sorter], path) for sorter, path in uploaded.items()
    )


def upload_units(
    plan: ExportPlan, target: DandiTarget, written: Iterable[ExportRun]
) -> tuple[list[ExportRun], CloudJobError | None]:
    """Upload every NWB file of the exports in `plan.results`; one failure does not stop the others.

    Return how each upload ended, and the first error.
    """
    assert plan.session is not None
    runs, first_error, draft = [], None, None
    for units in written:
        if units.export != "nwb" or units.error:
            continue
        path = asset_path(plan.session, plan.source, units.sorter)
        run = ExportRun(sorter=units.sorter, export="dandi", path=path)
        started = time.monotonic()
        try:
            draft = draft or find_draft(target.dandiset, target.access)
            upload(
                draft,
                plan.results / units.sorter / UNITS,
                path,
                target.fingerprints[units.sorter],
                overwrite=target.overwrite,
            )
            run = replace(run, size_bytes=units.size_bytes)
        except CloudJobError as error:
            logger.error("%s", error)
            first_error = first_error or error
            run = replace(run, error=" ".join(str(error).split()))
        runs.append(replace(run, seconds=time.monotonic() - started))
    return runs, first_error
