"""Write the bill of materials of an image: every Python and Debian package, as CycloneDX JSON.

It is read from the image itself, not from the lists that the image was built from.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from container.docker import check_docker, docker_output
from spikeinterface_cloud.errors import CloudJobError

PYTHON_PACKAGES = (
    "import importlib.metadata as m, json; "
    "print(json.dumps(sorted((d.name, d.version) for d in m.distributions())))"
)
DEBIAN_PACKAGES = "${db:Status-Status} ${Package} ${Version} ${Architecture}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the bill of materials; return 1 and print one line if that fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("image", help="name of an image on this machine")
    parser.add_argument("file", type=Path, help="where to write, like dist/image.cdx.json")
    options = parser.parse_args(arguments)
    try:
        check_docker()
        bom = bill_of_materials(options.image)
    except CloudJobError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    options.file.parent.mkdir(parents=True, exist_ok=True)
    options.file.write_text(JsonV1Dot6(bom).output_as_string(indent=2) + "\n")
    sys.stdout.write(f"{len(bom.components)} packages in {options.image}: {options.file}\n")
    return 0


def bill_of_materials(image: str) -> Bom:
    """Return the packages that are installed in the image."""
    python = json.loads(_run_in(image, "python", "-c", PYTHON_PACKAGES))
    debian = _run_in(image, "dpkg-query", "--show", "--showformat", DEBIAN_PACKAGES)
    packages = [
        *(PackageURL("pypi", None, name, version) for name, version in python),
        *filter(None, map(_debian_package, debian.splitlines())),
    ]
    digest = docker_output(["image", "inspect", "--format", "{{.Id}}", image])
    described = Component(name=image, version=digest, bom_ref=digest, type=ComponentType.CONTAINER)
    bom = Bom(components=map(_component, packages))
    bom.metadata.component = described
    bom.register_dependency(described, bom.components)
    return bom


def _run_in(image: str, program: str, *arguments: str) -> str:
    options = ["--rm", "--network", "none", "--entrypoint", program]
    return docker_output(["run", *options, image, *arguments])


def _debian_package(line: str) -> PackageURL | None:
    """Return the package in a line of dpkg, unless only its configuration is left."""
    status, name, version, architecture = line.split(" ")
    if status != "installed":
        return None
    return PackageURL("deb", "debian", name, version, {"arch": architecture})


def _component(package: PackageURL) -> Component:
    return Component(
        name=package.name,
        version=package.version,
        purl=package,
        bom_ref=package.to_string(),
        type=ComponentType.LIBRARY,
    )


if __name__ == "__main__":
    sys.exit(main())
