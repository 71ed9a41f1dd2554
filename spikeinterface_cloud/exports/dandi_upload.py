"""The units on DANDI: whether the archive would take them, and their upload to a draft dandiset."""

import logging
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from spikeinterface_cloud import __version__
from spikeinterface_cloud.dandi.upload import find_draft, upload, validate
from spikeinterface_cloud.errors import CloudJobError, TargetError
from spikeinterface_cloud.exports.export import ExportPlan, why_not_for_archives
from spikeinterface_cloud.exports.nwb_session import Session, sanitized
from spikeinterface_cloud.results.layout import UNITS
from spikeinterface_cloud.results.outcomes import ExportRun

logger = logging.getLogger(__name__)

#: entities that distinguish recordings of one session in the file names of DANDI
KEPT_ENTITIES = re.compile(r"(?<=_)(?:tis|slice|cell|probe|obj)-[A-Za-z0-9+-]+(?=[_.])")
SESSION = re.compile(r"(?<=_)ses-[A-Za-z0-9+-]+(?=[_.])")
DESCRIPTION = re.compile(r"_desc-(?P<text>[A-Za-z0-9+-]+)(?=[_.])")


def asset_path(session: Session, source: Mapping[str, Any], sorter: str) -> str:
    """Return the path of a sorter's units in a dandiset.

    Entities of the source's file name are kept; `source` is as in `run.json`.
    """
    subject = session.subject.get("subject_id")
    if not subject:
        raise TargetError("TARGET_DANDISET: the source has no subject_id; add it to the NWB file")
    name = str(source.get("path") or source.get("location") or "").rpartition("/")[2]
    subject_and_session = session.archive_name
    if not session.fields.get("session_id"):  # sessions of one subject must not replace each other
        named = SESSION.search(name)
        subject_and_session += f"_{named[0] if named else f'ses-{session.start:%Y%m%dT%H%M%S}'}"
    entities = "".join(f"_{kept[0]}" for kept in KEPT_ENTITIES.finditer(name))
    described = DESCRIPTION.search(name)
    parts = [described["text"] if described else None, session.series, sorter]
    description = "-".join(sanitized(part) for part in parts if part)
    folder = f"sub-{sanitized(str(subject))}"
    return f"{folder}/{subject_and_session}{entities}_desc-{description}_ecephys.nwb"


def check_session(plan: ExportPlan, sorter: str, scratch: Path) -> None:
    """Check the session against the archive's rules before sorting, with a file without units."""
    assert plan.session is not None
    if reason := why_not_for_archives(plan.session):
        raise TargetError(
            f"TARGET_DANDISET: the archive would not take the units: {reason}; complete the "
            "source's metadata, or leave TARGET_DANDISET out"
        )
    # imported here, as pynwb takes half a second, which a job that is refused would wait for
    from spikeinterface_cloud.exports.nwb_file import make_nwbfile, write_nwbfile

    file = scratch / "session.nwb"
    write_nwbfile(make_nwbfile(plan.session, {"spikeinterface_cloud": __version__}), file)
    try:
        validate(file, asset_path(plan.session, plan.source, sorter))
    finally:
        file.unlink()


def upload_units(
    plan: ExportPlan, dandiset: str, api_key: SecretStr, written: Iterable[ExportRun]
) -> tuple[list[ExportRun], CloudJobError | None]:
    """Upload every NWB file of the exports in `plan.results`; one failure does not stop the others.

    Return how each upload ended, and the first error.
    """
    assert plan.session is not None
    runs, first_error = [], None
    for units in written:
        if units.export != "nwb" or units.error:
            continue
        path = asset_path(plan.session, plan.source, units.sorter)
        run = ExportRun(sorter=units.sorter, export="dandi", path=path)
        started = time.monotonic()
        try:
            upload(find_draft(dandiset, api_key), plan.results / units.sorter / UNITS, path)
            run = replace(run, size_bytes=units.size_bytes)
        except CloudJobError as error:
            logger.error("%s", error)
            first_error = first_error or error
            run = replace(run, error=" ".join(str(error).split()))
        runs.append(replace(run, seconds=time.monotonic() - started))
    return runs, first_error
