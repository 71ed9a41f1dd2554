"""A registry for images on this machine: Debian's `docker-registry`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.servers import free_port, running

CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""

#: with it, the registry asks for the user and the password that ECR gives
AUTHENTICATION = "auth: {{htpasswd: {{realm: images, path: {file}}}}}\n"
USER, PASSWORD = "AWS", "a password for twelve hours"
HTPASSWD = f"{USER}:$2b$05$CsYdRI.O5FDRnl845/mP/OTaMLlxDs7pBMz..KdtTrBxudoVnn32S\n"


@contextmanager
def image_registry(folder: Path, *, authenticated: bool = False) -> Iterator[str]:
    """Run a registry that keeps its images in `folder`; it yields `127.0.0.1:PORT`."""
    program = shutil.which("docker-registry")
    if program is None:
        reason = "docker-registry is not installed (apt-get install docker-registry)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    port = free_port()
    config = folder / "config.yml"
    text = CONFIG.format(folder=folder / "images", port=port)
    if authenticated:
        passwords = folder / "htpasswd"
        passwords.write_text(HTPASSWD)
        text += AUTHENTICATION.format(file=passwords)
    config.write_text(text)
    with running([program, "serve", str(config)], f"http://127.0.0.1:{port}/v2/"):
        yield f"127.0.0.1:{port}"
