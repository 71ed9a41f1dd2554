"""A page from its template: one file that needs nothing else."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spikeinterface_cloud.runtime.logging import counted, format_bytes, format_seconds


def write_html(file: Path, template: str, page: Any) -> Path:
    """Write a page, complete or not at all; return its file.

    Parameters
    ----------
    page
        the data of the template; texts in it are escaped
    """
    unfinished = file.with_name(f".{file.name}.part")
    unfinished.write_text(_render(template, page), encoding="utf-8")
    return unfinished.replace(file)


def _render(template: str, page: Any) -> str:
    loader = PackageLoader("spikeinterface_cloud.report", "template")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = loader.get_source(environment, "script.js")[0].strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(
        page=page,
        style=Markup(loader.get_source(environment, "style.css")[0]),  # noqa: S704 -- ours
        script=Markup(script),  # noqa: S704 -- ours
        script_digest=digest,
        counted=counted,
        format_bytes=format_bytes,
        format_seconds=format_seconds,
    )
