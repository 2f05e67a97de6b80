"""The checks behind `moorwatch doctor`: each looks at one thing and says how it is, and how to mend it.

A check never changes anything and never fails itself: what it cannot find out is its finding.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib import metadata
from urllib.parse import urlsplit

from monitor import credentials
from monitor.cli import dockerd, image, record
from monitor.cli.api import Api, ApiUnreachable
from monitor.cli.bridge import SYSTEM_PATH
from monitor.cli.docker_api import DEFAULT_HOST, DockerApi, DockerRefused, DockerUnreachable
from monitor.cli.session import Session
from monitor.clock import SystemClock
from monitor.config import Settings
from monitor.model.errors import AwsError

FINE, NOTE, WARNING, FAULT = "ok", "note", "warning", "problem"
LIBRARIES = ("botocore", "docker", "httpx", "msgspec", "prometheus-client", "psutil", "starlette", "uvicorn")
LEAST_DISK_BYTES = 1024**3
MOST_SKEW_SECONDS = 300.0  # SigV4's own limit
LEAST_DOCKER = (20, 10)
_LEAST_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `fix` says what to do when `level` is warning or problem."""

    name: str
    level: str
    detail: str
    fix: str = ""


def run_all(session: Session) -> list[Check]:
    """Every check, in the order a person would look."""
    found: list[Check] = []
    groups: tuple[Callable[[Session], Iterable[Check]], ...] = (
        _python,
        _state_folder,
        _key,
        _authentication,
        _supervision,
        _docker,
        _image,
        _control_plane,
        _agent_metrics,
        _ports,
        _proxies,
        _test_programs,
    )
    for group in groups:
        found.extend(group(session))
    return found


def _python(_: Session) -> Iterable[Check]:
    text = f"{sys.version.split()[0]} at {sys.executable}"
    fits = sys.version_info[:2] >= _LEAST_PYTHON
    yield Check("python", FINE if fits else FAULT, text, "" if fits else "use Python 3.11 or later")
    versions, missing = [], []
    for name in LIBRARIES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Check("libraries", FAULT, f"missing: {', '.join(missing)}", "run 'make venv'")
    else:
        yield Check("libraries", FINE, ", ".join(versions))


# -- the state folder --------------------------------------------------------------------------------------


def _state_folder(session: Session) -> Iterable[Check]:
    path = session.settings.state
    if not path.is_dir():
        yield Check("state folder", NOTE, f"{path} is not there yet; 'moorwatch up' makes it")
        return
    about = path.stat()
    mode = stat.S_IMODE(about.st_mode)
    if about.st_uid != os.geteuid():
        yield Check("state folder", FAULT, f"{path} belongs to uid {about.st_uid}", "run as that user")
    elif mode & 0o077:
        yield Check("state folder", WARNING, f"{path} is open to others ({mode:04o})", f"chmod 700 {path}")
    else:
        yield Check("state folder", FINE, str(path))
    usage = shutil.disk_usage(path)
    text = f"{usage.free / 1024**3:.1f} GiB free of {usage.total / 1024**3:.1f} GiB"
    if usage.free < LEAST_DISK_BYTES:
        yield Check("disk", FAULT, text, "free some space, or move the state folder with --state")
    else:
        yield Check("disk", FINE, text)


def _key(session: Session) -> Iterable[Check]:
    path = session.settings.credentials_file
    try:
        found = credentials.load(path)
    except FileNotFoundError:
        yield Check("access key", NOTE, "none yet; 'moorwatch up' makes one")
    except credentials.CredentialsError as error:
        yield Check("access key", FAULT, str(error), f"chmod 600 {path}")
    else:
        masked = f"{found.access_key_id[:8]}… (secret not shown) of account {found.account}"
        if found.account == session.settings.account:
            yield Check("access key", FINE, masked)
        else:
            fix = f"set account = '{found.account}', or move {path} away"
            yield Check("access key", FAULT, f"{masked}, settings say {session.settings.account}", fix)


def _authentication(session: Session) -> Iterable[Check]:
    if session.settings.auth == "none":
        text = "requests are not authenticated: any local user can start containers, and so own this machine"
        yield Check("authentication", WARNING, text, "unset MOORWATCH_AUTH, or set auth = 'sigv4'")
    else:
        yield Check("authentication", FINE, "SigV4")


# -- processes ---------------------------------------------------------------------------------------------


def _supervision(session: Session) -> Iterable[Check]:
    found = session.record
    if found is None:
        yield Check("moorwatch up", NOTE, "not running; start it with 'moorwatch up'")
    elif found.is_running:
        yield Check("moorwatch up", FINE, f"{found.phase}, pid {found.supervisor.pid}")
    elif found.phase == record.FAILED:
        yield Check("moorwatch up", FAULT, f"the last one failed: {found.problem}", "see the message")
    else:
        text = f"it ended (pid {found.supervisor.pid}) without stopping its processes"
        yield Check("moorwatch up", FAULT, text, "'moorwatch down' stops them, 'moorwatch up' starts anew")


def _docker(session: Session) -> Iterable[Check]:
    own = dockerd.own_daemon(session.settings.state)
    ours = bool(session.own_docker)
    host = session.own_docker or session.settings.docker_host or DEFAULT_HOST
    docker = DockerApi(host)
    try:
        version, info = docker.version(), docker.info()
    except (DockerUnreachable, DockerRefused) as error:
        yield _no_docker(session.settings, own, str(error), is_up=session.is_up)
        return
    text = (
        f"{version.get('Version')} at {host}{' (our own)' if ours else ''}; "
        f"cgroups v{info.get('CgroupVersion', '1')} by {info.get('CgroupDriver')}; "
        f"storage {info.get('Driver')}; {info.get('ContainersRunning')} containers running"
    )
    if _numbers(str(version.get("Version"))) < LEAST_DOCKER:
        yield Check("docker", FAULT, text, "use Docker 20.10 or later")
    else:
        yield Check("docker", FINE, text)
    if not info.get("MemoryLimit", True):
        text = "this kernel does not limit memory of containers"
        yield Check("docker", WARNING, text, "boot with cgroup_enable=memory")


def _no_docker(settings: Settings, own: dockerd.OwnDaemon, error: str, *, is_up: bool) -> Check:
    if is_up:
        return Check("docker", FAULT, f"does not answer: {error}", f"see {settings.state / 'logs'}")
    if settings.docker_host and settings.docker_host != own.host:
        fix = f"start it, or correct docker_host ({settings.origins.get('docker_host')})"
        return Check("docker", FAULT, f"does not answer: {error}", fix)
    if not own.binary:
        return Check("docker", FAULT, f"not installed ({error})", "run 'sh deploy/system.sh'")
    if os.geteuid() != 0:
        text = f"no daemon that this user may use ({error})"
        return Check("docker", FAULT, text, "run 'moorwatch up' as root, or set DOCKER_HOST")
    return Check("docker", NOTE, f"none answers; 'moorwatch up' starts one of its own with {own.binary}")


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:2]
    return tuple(int(part) if part.isdigit() else 0 for part in parts)


def _image(session: Session) -> Iterable[Check]:
    host = session.own_docker or session.settings.docker_host or DEFAULT_HOST
    try:
        is_there = DockerApi(host).image(image.IMAGE) is not None
    except (DockerUnreachable, DockerRefused):
        is_there = False
    if is_there:
        yield Check("demo image", FINE, image.IMAGE)
        return
    try:
        yield Check("demo image", NOTE, f"not made yet; 'moorwatch up' makes it of {image.find_busybox()}")
    except image.NoBusybox as error:
        yield Check("demo image", WARNING, str(error), "run 'sh deploy/system.sh'")


def _control_plane(session: Session) -> Iterable[Check]:
    try:
        key = credentials.load(session.settings.credentials_file)
    except (FileNotFoundError, credentials.CredentialsError):
        return  # said before
    api, cluster = Api(session.settings, key), session.settings.cluster
    logs = session.settings.state / "logs"
    try:
        began = SystemClock().now()
        arns = api.ecs("ListContainerInstances", {"cluster": cluster}).get("containerInstanceArns", [])
        took = SystemClock().now() - began
        yield Check("control plane", FINE, f"answers at {api.endpoint} in {took * 1000:.0f} ms")
        yield from _clocks(api.endpoint)
        asked = {"cluster": cluster, "containerInstances": arns[:100]}
        found = api.ecs("DescribeContainerInstances", asked)["containerInstances"] if arns else []
        connected = sum(1 for instance in found if instance.get("agentConnected"))
        text = f"{connected} of {len(found)} connected to cluster '{cluster}'"
        if connected and connected == len(found):
            yield Check("agents", FINE, text)
        else:
            yield Check("agents", FAULT, text, f"is the agent running? see {logs / 'agent.log'}")
    except ApiUnreachable as error:
        if session.is_up:
            yield Check("control plane", FAULT, f"does not answer: {error}", f"see {logs / 'control.log'}")
        else:
            yield Check("control plane", NOTE, "not running; start it with 'moorwatch up'")
    except AwsError as error:
        yield Check("control plane", FAULT, f"refuses us: {error}", f"see {logs / 'control.log'}")


def _clocks(endpoint: str) -> Iterable[Check]:
    """What the control plane's clock says, by the Date header that every answer carries."""
    try:
        _, told = _get(endpoint, "/metrics")
        date = parsedate_to_datetime(told or "").timestamp()
    except (OSError, http.client.HTTPException, ValueError):
        yield Check("clocks", NOTE, "the control plane does not tell its time")
    else:
        yield _skew(date - SystemClock().now())


def _skew(seconds: float) -> Check:
    if abs(seconds) <= 2.0:  # a Date header has whole seconds
        return Check("clocks", FINE, "agree with the control plane")
    text = f"the control plane's is {seconds:+.0f} s off ours"
    if abs(seconds) >= MOST_SKEW_SECONDS:
        return Check("clocks", FAULT, f"{text}: signatures are refused from 300 s on", "synchronise (NTP)")
    return Check("clocks", WARNING, text, "synchronise both machines' clocks (NTP)")


def _agent_metrics(session: Session) -> Iterable[Check]:
    if not session.is_up:
        return
    url = session.settings.agent_metrics
    fix = f"see {session.settings.state / 'logs' / 'agent.log'}"
    try:
        code, _ = _get(url.removesuffix("/metrics"), "/metrics")
    except (OSError, http.client.HTTPException) as error:
        yield Check("agent metrics", FAULT, f"{url}: {error or type(error).__name__}", fix)
    else:
        yield Check("agent metrics", FINE if code == 200 else FAULT, f"{url} answers {code}", fix)


def _get(origin: str, path: str) -> tuple[int, str | None]:
    """Status and Date header of a GET. Raises OSError, HTTPException."""
    parts = urlsplit(origin)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5.0)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Date")
    finally:
        connection.close()


# -- surroundings ------------------------------------------------------------------------------------------


def _ports(session: Session) -> Iterable[Check]:
    if session.is_up:
        return  # taken by ourselves
    settings = session.settings
    for name in ("port", "agent_port"):
        number = getattr(settings, name)
        label = f"port {number}"
        problem = port_problem(settings.host, number)
        if problem:
            fix = f"stop what uses it ('ss -ltnp'), or set another {name}"
            yield Check(label, FAULT, f"cannot be listened on at {settings.host}: {problem}", fix)
        else:
            yield Check(label, FINE, f"free at {settings.host}")


def port_problem(host: str, port: int) -> str:
    """Why we could not listen there, empty when we could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _proxies(session: Session) -> Iterable[Check]:
    names = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    used = [name for name in names if os.environ.get(name)]
    excepted = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    if used and session.settings.host not in excepted and excepted != "*":
        text = f"{', '.join(used)} is set: an AWS CLI would send requests for Moorwatch to that proxy"
        yield Check("proxy", WARNING, text, f'export NO_PROXY="{session.settings.host},$NO_PROXY"')


def _test_programs(_: Session) -> Iterable[Check]:
    path = os.pathsep.join((os.environ.get("PATH", ""), SYSTEM_PATH))
    for name in ("prometheus", "promtool"):
        found = shutil.which(name, path=path)
        text = found or "not installed; only the tests use it ('sh deploy/system.sh --tests')"
        yield Check(name, FINE if found else NOTE, text)
