"""AWS Batch, Logs, S3 and CloudFormation over HTTP: moto, made as strict as AWS.

moto finishes every job at once and takes any request. Here requests are held against AWS's limits
first, listings come in pages, and a test says how a job fares and when AWS refuses.
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.support.servers import access_to, client_of

QUEUE = "sorting"
DEFINITION = "spikeinterface-cloud"

#: page size of ListJobs
PAGE = 100

#: of AWS, in JSON of the overrides, where Batch adds some of its own
OVERRIDES_LENGTH = 8_192
ADDED_BY_BATCH = 600

#: the XML errors of services without JSON
XML_ERRORS = {
    "s3": "{}",
    "ec2": "<Response><Errors>{}</Errors></Response>",
    "cloudformation": "<ErrorResponse>{}</ErrorResponse>",
    "iam": "<ErrorResponse>{}</ErrorResponse>",
    "autoscaling": "<ErrorResponse>{}</ErrorResponse>",
}

SIGNATURE = re.compile(r"Credential=([^/]+)/\d{8}/([\w-]+)/([\w-]+)/aws4_request")

Answer = tuple[int, Mapping[str, str], bytes]


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request that arrived."""

    service: str
    #: like `submitjob`, `Logs_20140328.GetLogEvents`, or the method and path
    action: str
    body: Any
    #: who signed it, for which region
    access_key: str = ""
    session_token: str = ""
    region: str = ""


@dataclass(kw_only=True)
class Refusal:
    """An error that a test makes the server return."""

    action: str
    status: int
    code: str
    message: str
    times: int


class AwsServer:
    """The WSGI application in front of moto's, which tests program and inspect."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._refusals: list[Refusal] = []
        self._fates: dict[str, dict[str, Any]] = {}
        self._forgotten: dict[str, int] = {}
        self.url = ""
        self.calls: list[Call] = []
        #: called with each request before the response
        self.on_call: Callable[[Call], None] = lambda _: None
        #: the jobs at the front of the queue, which moto lacks
        self.front_of_queue: list[str] | None = None
        #: JSON replies to calls that moto lacks, by action
        self.answers: dict[str, Callable[[Any], Mapping[str, Any]]] = {}
        #: services that refuse every call
        self.denied_services: frozenset[str] = frozenset()
        #: edits of Batch's replies, by action
        self.amendments: dict[str, Callable[[Any], None]] = {}

    def client(self, service: str) -> Any:
        """Return a boto3 client of this server."""
        return client_of(access_to(self.url), service)

    def refuse(
        self, action: str, code: str, message: str = "", *, status: int = 400, times: int = 1
    ) -> None:
        """Answer the next calls of this action (`*`: any) with an AWS error."""
        self._refusals.append(
            Refusal(action=action, status=status, code=code, message=message, times=times)
        )

    def set_fate(self, job_id: str, **fields: Any) -> None:
        """Override fields of a job in DescribeJobs and ListJobs from now on."""
        fate = self._fates.setdefault(job_id, {})
        container = {**fate.get("container", {}), **fields.get("container", {})}
        self._fates[job_id] = {**fate, **fields, "container": container}

    def forget_for(self, job_id: str, times: int) -> None:
        """Hide a job from the next calls of DescribeJobs, as AWS may right after submission."""
        self._forgotten[job_id] = times

    def clear(self) -> None:
        """Forget calls, refusals and overridden fields."""
        self.calls.clear()
        self._refusals.clear()
        self._fates.clear()
        self._forgotten.clear()
        self.on_call = lambda _: None
        self.front_of_queue = None
        self.answers.clear()
        self.amendments.clear()
        self.denied_services = frozenset()

    def named(self, action: str) -> list[Call]:
        """Return the calls of this action."""
        return [call for call in self.calls if call.action == action]

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        call = self._received(environ)
        if call.service != "batch":
            answer = self._refused(call) or self._answered(call)
            if answer is None:
                return self._application(environ, start_response)
            return _send(answer, start_response)
        return _send(self._answer_batch(call, environ), start_response)

    def _received(self, environ: dict[str, Any]) -> Call:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        signature = SIGNATURE.search(environ.get("HTTP_AUTHORIZATION", ""))
        access_key, region, name = signature.groups() if signature else ("", "", "")
        path = environ["PATH_INFO"]
        if name == "batch":
            call = Call(
                service=name, action=path.rpartition("/")[2], body=json.loads(body or b"{}")
            )
        elif name == "s3" or environ["REQUEST_METHOD"] == "HEAD":  # asked without credentials
            call = Call(service="s3", action=f"{environ['REQUEST_METHOD']} {path}", body=None)
        elif action := re.search(rb"(?:^|&)Action=(\w+)", body):
            call = Call(service=name, action=action[1].decode(), body=body)
        else:
            target = environ.get("HTTP_X_AMZ_TARGET", path).rpartition(".")[2]
            call = Call(service=name, action=target, body=body)
        token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN", "")
        call = replace(call, access_key=access_key, session_token=token, region=region)
        with self._lock:
            self.calls.append(call)
        self.on_call(call)
        return call

    def _refused(self, call: Call) -> Answer | None:
        if call.service in self.denied_services:
            return _error(403, "AccessDenied", "not for you", call.service)
        with self._lock:
            for refusal in self._refusals:
                if refusal.times > 0 and refusal.action in ("*", call.action):
                    refusal.times -= 1
                    return _error(refusal.status, refusal.code, refusal.message, call.service)
        return None

    def _answered(self, call: Call) -> Answer | None:
        answer = self.answers.get(call.action)
        if answer is None:
            return None
        reply = answer(json.loads(call.body or b"{}"))
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(reply).encode()

    def _answer_batch(self, call: Call, environ: dict[str, Any]) -> Answer:
        refusal = self._refused(call)
        if refusal is not None:
            return refusal
        if problem := problem_of(call):
            return _error(400, "ClientException", problem, call.service)
        if call.action == "getjobqueuesnapshot":
            return self._snapshot()
        if call.action == "listjobs":
            return self._list_jobs(call, environ)
        answer = self._pass_on(environ, call.body)
        if call.action == "describejobs" and answer[0] == 200:
            reply = json.loads(answer[2])
            known = [job for job in reply["jobs"] if not self._is_forgotten(job["jobId"])]
            reply["jobs"] = [self._with_fate(job) for job in known]
            return 200, answer[1], json.dumps(reply).encode()
        if call.action in self.amendments and answer[0] == 200:
            reply = json.loads(answer[2])
            self.amendments[call.action](reply)
            return 200, answer[1], json.dumps(reply).encode()
        return answer

    def _list_jobs(self, call: Call, environ: dict[str, Any]) -> Answer:
        """List jobs as AWS does: running ones by default, no children, in pages."""
        status, headers, content = self._pass_on(environ, {**call.body, "jobStatus": None})
        if status != 200:
            return status, headers, content
        jobs = [self._with_fate(job) for job in json.loads(content)["jobSummaryList"]]
        if "arrayJobId" not in call.body:
            jobs = [job for job in jobs if ":" not in job["jobId"]]
        if "filters" in call.body:
            [created_after] = [
                int(given["values"][0])
                for given in call.body["filters"]
                if given["name"] == "AFTER_CREATED_AT"
            ] or [0]
            jobs = [job for job in jobs if job["createdAt"] >= created_after]
        else:
            jobs = [job for job in jobs if job["status"] == call.body.get("jobStatus", "RUNNING")]
        start = int(call.body.get("nextToken", 0))
        reply: dict[str, Any] = {"jobSummaryList": jobs[start : start + PAGE]}
        if len(jobs) > start + PAGE:
            reply["nextToken"] = str(start + PAGE)
        return 200, headers, json.dumps(reply).encode()

    def _snapshot(self) -> Answer:
        if self.front_of_queue is None:
            return _error(403, "AccessDeniedException", "not for you", "batch")
        jobs = [{"jobArn": arn, "earliestTimeAtPosition": 0} for arn in self.front_of_queue]
        reply = {"frontOfQueue": {"jobs": jobs, "lastUpdatedAt": 0}}
        return 200, {"Content-Type": "application/json"}, json.dumps(reply).encode()

    def _is_forgotten(self, job_id: str) -> bool:
        left = self._forgotten.get(job_id, 0)
        self._forgotten[job_id] = left - 1
        return left > 0

    def _with_fate(self, job: dict[str, Any]) -> dict[str, Any]:
        """Return a job as a test says it fares, and as those fare that it depends on."""
        job = {**job, **self._waiting(job)}
        fate = dict(self._fates.get(job["jobId"], {}))
        container = {**job.get("container", {}), **fate.pop("container", {})}
        return {**job, **fate, **({"container": container} if container else {})}

    def _waiting(self, job: Mapping[str, Any]) -> dict[str, str]:
        """Return the state of a job that cannot start: AWS fails it with what it depends on."""
        fates = [self._fates.get(each["jobId"], {}) for each in job.get("dependsOn", ())]
        statuses = {fate.get("status", "SUCCEEDED") for fate in fates}
        if "FAILED" in statuses:
            return {"status": "FAILED", "statusReason": "Dependent Job failed"}
        return {"status": "PENDING"} if statuses - {"SUCCEEDED"} else {}

    def _pass_on(self, environ: dict[str, Any], body: Any) -> Answer:
        content = json.dumps(
            {name: value for name, value in body.items() if value is not None}
        ).encode()
        environ["wsgi.input"] = io.BytesIO(content)
        environ["CONTENT_LENGTH"] = str(len(content))
        seen: list[tuple[str, list[tuple[str, str]]]] = []
        answered = self._application(
            environ, lambda status, headers, *_: seen.append((status, headers))
        )
        reply = b"".join(answered)
        status, headers = seen[0]
        return int(status.split()[0]), dict(headers), reply


def problem_of(call: Call) -> str | None:
    """Return why AWS would refuse a Batch request by its documented limits, if it would."""
    if call.action == "describejobs" and len(call.body["jobs"]) > 100:
        return "Maximum number of jobs supported is 100"
    if call.action == "submitjob":
        return next(_problems_of_submission(call.body), None)
    return None


def _problems_of_submission(body: Mapping[str, Any]) -> Iterator[str]:
    if len(json.dumps(body).encode()) > 30 * 1024:
        yield "Job size must be less than 30 KiB"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", body["jobName"]):
        yield "Job name should match valid pattern"
    if not 2 <= body.get("arrayProperties", {}).get("size", 2) <= 10_000:
        yield "Array size must be between 2 and 10000"
    if body.get("timeout", {}).get("attemptDurationSeconds", 60) < 60:
        yield "Timeout must be at least 60 seconds"
    if len(body.get("dependsOn", ())) > 20:
        yield "A job can have at most 20 dependencies"
    if len(body.get("tags", {})) > 50:
        yield "A job can have at most 50 tags"
    if not 0 <= body.get("schedulingPriorityOverride", 0) <= 9999:
        yield "Scheduling priority must be between 0 and 9999"
    yield from _problems_of_retries(body.get("retryStrategy", {}))
    yield from _problems_of_overrides(body.get("containerOverrides", {}))


def _problems_of_retries(strategy: Mapping[str, Any]) -> Iterator[str]:
    if not 1 <= strategy.get("attempts", 1) <= 10:
        yield "Attempts must be between 1 and 10"
    rules = strategy.get("evaluateOnExit", ())
    if len(rules) > 5 or (rules and "attempts" not in strategy):
        yield "At most 5 rules, and only with attempts"
    for rule in rules:
        if not re.fullmatch(r"\d*\*?", rule.get("onExitCode", "")):
            yield "onExitCode is digits and a trailing asterisk"
        for condition in ("onReason", "onStatusReason"):
            if not re.fullmatch(r"[\w.:\s]{0,512}\*?", rule.get(condition, "")):
                yield f"{condition} has characters that are not allowed"


def _problems_of_overrides(overrides: Mapping[str, Any]) -> Iterator[str]:
    if len(json.dumps(overrides)) + ADDED_BY_BATCH > OVERRIDES_LENGTH:
        yield "Container Overrides length must be at most 8192"
    if {"vcpus", "memory"} & overrides.keys():
        yield "vcpus and memory are deprecated and without effect"
    for variable in overrides.get("environment", ()):
        if variable["name"].startswith("AWS_BATCH"):
            yield "Environment variables must not start with AWS_BATCH"


def _error(status: int, code: str, message: str, service: str) -> Answer:
    if service in XML_ERRORS:
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return status, {"Content-Type": "text/xml"}, XML_ERRORS[service].format(error).encode()
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": code}
    return status, headers, json.dumps({"message": message, "__type": code}).encode()


def _send(answer: Answer, start_response: Callable[..., Any]) -> list[bytes]:
    status, headers, body = answer
    kept = {name: value for name, value in headers.items() if name.lower() != "content-length"}
    start_response(f"{status} -", [*kept.items(), ("Content-Length", str(len(body)))])
    return [body]


@contextmanager
def aws_server() -> Iterator[AwsServer]:
    """Run a server with a queue and a job definition; it runs no containers."""
    from moto.core.config import default_user_config
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: Any) -> None:
            """Keep the tests' output clean."""

    before = default_user_config["batch"]
    default_user_config["batch"] = {"use_docker": False}  # moto's own switch
    application = AwsServer(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    application.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        _set_up(application)
        yield application
    finally:
        default_user_config["batch"] = before
        server.shutdown()
        thread.join()
        server.server_close()


def _set_up(server: AwsServer) -> None:
    """Create the queue and job definition; the servers of a process share one account."""
    iam, batch = server.client("iam"), server.client("batch")
    if batch.describe_job_queues(jobQueues=[QUEUE])["jobQueues"]:
        return
    role = iam.create_role(RoleName="batch", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    environment = batch.create_compute_environment(
        computeEnvironmentName="machines", type="UNMANAGED", state="ENABLED", serviceRole=role
    )["computeEnvironmentArn"]
    batch.create_job_queue(
        jobQueueName=QUEUE,
        priority=1,
        state="ENABLED",
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment}],
    )
    batch.register_job_definition(
        jobDefinitionName=DEFINITION,
        type="container",
        containerProperties={
            "image": "spikeinterface-cloud",
            "command": ["python", "run_script.py"],
            "vcpus": 1,
            "memory": 2048,
        },
    )
