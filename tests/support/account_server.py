"""An empty AWS account over HTTP: moto's server in its own process.

Unlike `batch_server`'s it has nothing in it, and its warnings of what moto's CloudFormation leaves
out are not the tests' errors. What moto forgets of a stack that came of a change set, its outputs
and its description, is as on AWS, and so is the stack's project of CodeBuild, which moto's
CloudFormation does not make.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.servers import S3Server, free_port, running

#: starts no containers for jobs
WITHOUT_CONTAINERS = "--without-containers"

ROLE = "what-aws-makes-for-batch"


@contextmanager
def account_server(address: str = "127.0.0.1", *arguments: str) -> Iterator[S3Server]:
    """Run the server; the arguments are those of this module's command line."""
    port = free_port()
    command = [sys.executable, "-m", "tests.support.account_server", address, str(port), *arguments]
    with running(command, f"http://127.0.0.1:{port}") as url:
        yield S3Server(url=url)


def completed(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Wrap the application to complete stacks after each executed change set."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        answered = list(application(environ, start_response))
        if re.search(rb"Action=ExecuteChangeSet", body):
            complete_stacks()
        return answered

    return answer


def complete_stacks() -> None:
    """Give every stack the outputs and the description of its template."""
    from moto.cloudformation.models import cloudformation_backends

    for account in cloudformation_backends.values():
        for backend in account.values():
            for stack in backend.stacks.values():
                if stack.status.endswith("_COMPLETE"):
                    stack._parse_template()
                    make_project(stack)
                    stack.description = stack.template_dict.get("Description")
                    stack.output_map = stack._create_output_map()


def make_project(stack: Any) -> None:
    """Make the stack's project of CodeBuild, and its output."""
    from moto.codebuild.models import codebuild_backends

    if "BuildProject" not in stack.template_dict["Resources"]:
        return
    properties = stack.template_dict["Resources"]["BuildProject"]["Properties"]
    name = properties["Name"]["Fn::Sub"].replace("${AWS::StackName}", stack.name)
    environment = {
        key[0].lower() + key[1:]: each for key, each in properties["Environment"].items()
    }
    unset = ("description", "tags", "cache", "queued_timeout", "source_version", "vpc_config")
    codebuild_backends[stack.account_id][stack.region_name].create_project(
        project_name=name,
        project_source={"type": "S3"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment=environment,
        service_role=f"arn:aws:iam::{stack.account_id}:role/build",
        timeout=properties["TimeoutInMinutes"],
        logs_config={},
        **dict.fromkeys(unset),
    )
    stack.template_dict["Outputs"]["BuildProject"]["Value"] = name


def main(address: str, port: str, *arguments: str) -> None:
    """Serve until killed."""
    from moto.core.config import default_user_config
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    if WITHOUT_CONTAINERS in arguments:
        default_user_config["batch"] = {"use_docker": False}
    application = DomainDispatcherApplication(create_backend_app)
    run_simple(address, int(port), completed(application), threaded=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
