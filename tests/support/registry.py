"""A registry of images over HTTP on this machine: as much of it as `docker push` needs.

It keeps an image only if every blob that its manifest names has arrived whole, and wants the user
and the password that ECR gives.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from werkzeug import Request, Response
from werkzeug.serving import make_server

USER, PASSWORD = "AWS", "a password for twelve hours"

UPLOADS = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<upload>[^/]*)")
BLOB = re.compile(r"/v2/(?P<name>.+)/blobs/(?P<digest>sha256:[0-9a-f]{64})")
MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<tag>[^/]+)")


@dataclass(kw_only=True)
class Registry:
    """The registry's application, and what was pushed."""

    #: `127.0.0.1:PORT`; engines speak plain HTTP to such an address
    host: str = ""
    #: by `name:tag`
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    _uploads: dict[str, bytes] = field(default_factory=dict)

    def config_of(self, image: str) -> dict[str, Any]:
        """Return the configuration of a pushed image, named `name:tag`."""
        return dict(json.loads(self.blobs[self.manifests[image]["config"]["digest"]]))

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        given = request.authorization
        if given is None or (given.username, given.password) != (USER, PASSWORD):
            return Response(status=401, headers={"WWW-Authenticate": 'Basic realm="registry"'})
        if request.path == "/v2/":
            return Response("{}")
        if match := UPLOADS.fullmatch(request.path):
            return self._upload(request, match["name"], match["upload"])
        if match := BLOB.fullmatch(request.path):
            return Response(status=200 if match["digest"] in self.blobs else 404)
        if match := MANIFEST.fullmatch(request.path):
            return self._manifest(request, f"{match['name']}:{match['tag']}")
        return Response(status=404)

    def _upload(self, request: Request, name: str, upload: str) -> Response:
        """Begin an upload (POST), add to it (PATCH) or end it (PUT)."""
        upload = upload or str(len(self._uploads))
        content = self._uploads.get(upload, b"") + request.stream.read()
        self._uploads[upload] = content
        headers = {"Location": f"/v2/{name}/blobs/uploads/{upload}"}
        if request.method != "PUT":
            headers["Range"] = f"0-{max(len(content) - 1, 0)}"
            return Response(status=202, headers=headers)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if request.args["digest"] != digest:
            return Response(status=400)
        self.blobs[digest] = content
        return Response(status=201, headers=headers | {"Docker-Content-Digest": digest})

    def _manifest(self, request: Request, image: str) -> Response:
        if request.method != "PUT":
            return Response(status=200 if image in self.manifests else 404)
        content = request.get_data()
        manifest = json.loads(content)
        if any(
            each["digest"] not in self.blobs for each in [manifest["config"], *manifest["layers"]]
        ):
            return Response(status=400)
        self.manifests[image] = manifest
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return Response(status=201, headers={"Docker-Content-Digest": digest})


@contextmanager
def open_registry() -> Iterator[Registry]:
    """Run an empty registry."""
    registry = Registry()
    server = make_server("127.0.0.1", 0, Request.application(registry.answer), threaded=True)
    registry.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield registry
    server.shutdown()
    thread.join()
