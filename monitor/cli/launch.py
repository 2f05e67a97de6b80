"""`moorwatch up` from the inside: Docker, control plane, agent, demo, in this order, and down again in reverse.

Whatever is started is in STATE/up.json before anything else happens, so that `take_down` (and the next `up`)
can clean up after a supervisor that was killed. Ends as it began: with a daemon of our own nothing is left
running; a daemon that was there before keeps its containers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

from monitor import credentials
from monitor.cli import demo, dockerd, image, process, record
from monitor.cli.api import Api, ApiUnreachable
from monitor.cli.checks import port_problem
from monitor.cli.docker_api import DockerApi, DockerRefused, DockerUnreachable
from monitor.cli.dockerd import OwnDaemon
from monitor.cli.process import ProcessIdentity
from monitor.cli.record import FAILED, STARTING, STOPPING, UP, UpRecord
from monitor.cli.supervise import Child, ChildSpec, Supervisor, last_lines
from monitor.config import ConfigError, Settings
from monitor.model.errors import AwsError

DOCKERD, CONTROL, AGENT = "dockerd", "control", "agent"
DOCKER_SECONDS, CONTROL_SECONDS, AGENT_SECONDS, DEMO_SECONDS = 60.0, 60.0, 90.0, 15.0
PATIENCE_SECONDS = {AGENT: 10.0, CONTROL: 15.0, DOCKERD: 30.0}

Say = Callable[[str], None]


class UpFailed(Exception):
    """Something did not come up; the message says what and where to look."""


class StoppedByUser(Exception):
    """Ctrl-C or SIGTERM arrived while things were being started."""


PROBLEMS = (UpFailed, ConfigError, dockerd.NoDocker, credentials.CredentialsError, OSError)


@dataclass(frozen=True, slots=True)
class Down:
    """What taking down did: names of stopped processes, how many containers, what went wrong."""

    stopped: tuple[str, ...] = ()
    containers: int = 0
    left_running: int = 0
    problems: tuple[str, ...] = ()


# -- up ----------------------------------------------------------------------------------------------------


class Launch:
    """One run of `up`. The caller holds the state folder (record.hold)."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], say: Say, *, with_demo: bool) -> None:
        self.settings = settings
        self._environ = environ
        self._say = say
        self._with_demo = with_demo
        self._own: OwnDaemon | None = None
        self._logs = settings.state / "logs"
        self._supervisor = Supervisor(say, self._started)
        me = process.identify(os.getpid())
        if me is None:
            raise UpFailed("/proc does not show this process; is /proc mounted?")
        self._record = _first_record(settings, me)

    def run(self, on_up: Callable[[UpRecord], None]) -> None:
        """Bring everything up, call `on_up`, supervise until asked to stop, take everything down.

        Raises UpFailed, ConfigError, dockerd.NoDocker, credentials.CredentialsError.
        """
        problem = ""
        with self._supervisor.signals():
            try:
                self._bring_up()
                self._mark(UP)
                on_up(self._record)
                while not self._supervisor.stop_requested:
                    self._supervisor.step(60.0)
            except StoppedByUser:
                self._say("stopped before everything was up")
            except PROBLEMS as error:
                problem = str(error)
                raise
            finally:
                self._end(problem)

    def _bring_up(self) -> None:
        record.private_folder(self._logs)
        self._clear_leftovers()
        record.save(self.settings.state, self._record)
        key = credentials.load_or_create(self.settings.credentials_file, self.settings.account)
        _check_ports(self.settings)
        self._bring_docker()
        has_image = self._bring_image()
        api = Api(self.settings, key)
        self._start_python(CONTROL)
        self._await(CONTROL, lambda: _answers(api), CONTROL_SECONDS, "the control plane does not answer")
        self._start_python(AGENT)
        connected = _AgentConnected(api, self.settings.cluster)
        self._await(AGENT, connected, AGENT_SECONDS, "the agent is not connected to the control plane")
        if self._with_demo and has_image:
            self._bring_demo(api)

    def _clear_leftovers(self) -> None:
        """A supervisor that was killed left its children; our Docker daemon among them may go on."""
        left = record.load(self.settings.state)
        if left is None:
            return
        for name in (AGENT, CONTROL):
            who = left.children.get(name)
            if who is not None and process.stop(who, PATIENCE_SECONDS[name]) != "gone":
                self._say(f"stopped {name} (pid {who.pid}), left over from an 'up' that was killed")

    # -- docker -------------------------------------------------------------------------------------

    def _bring_docker(self) -> None:
        chosen = dockerd.choose(self.settings)
        if isinstance(chosen, str):
            self._use_docker(chosen, ours=False)
            self._say(f"using the Docker daemon at {chosen}")
            return
        self._own = chosen
        self._use_docker(chosen.host, ours=True)
        adopted = self._adopt_dockerd(chosen)
        spec = self._dockerd_spec(chosen)
        if not adopted:
            for note in dockerd.prepare(chosen):
                self._say(note)
            self._supervisor.start(spec)
        docker = DockerApi(chosen.host, timeout_seconds=2)
        self._await(DOCKERD, docker.answers, DOCKER_SECONDS, "our Docker daemon does not answer")
        self._say(f"{'found' if adopted else 'started'} a Docker daemon of our own at {chosen.host}")

    def _adopt_dockerd(self, own: OwnDaemon) -> bool:
        who = dockerd.running_process(own)
        if who is None:
            return False
        if DockerApi(own.host).answers() and self._supervisor.adopt(self._dockerd_spec(own), who):
            return True
        process.stop(who, PATIENCE_SECONDS[DOCKERD])
        return False

    def _dockerd_spec(self, own: OwnDaemon) -> ChildSpec:
        log = self._logs / f"{DOCKERD}.log"
        environ = dockerd.environment(self._environ)
        return ChildSpec(DOCKERD, tuple(own.command), environ, log, before=lambda: dockerd.prepare(own))

    def _use_docker(self, host: str, *, ours: bool) -> None:
        self.settings = replace(self.settings, docker_host=host)
        self._record = replace(self._record, docker_host=host, docker_ours=ours)
        record.save(self.settings.state, self._record)

    def _bring_image(self) -> bool:
        try:
            if image.ensure_image(DockerApi(self.settings.docker_host, timeout_seconds=30)):
                self._say(f"made the image {image.IMAGE} from this machine's busybox")
        except image.NoBusybox as error:
            self._say(f"without the demo: {error}")
            return False
        except (DockerUnreachable, DockerRefused) as error:
            raise UpFailed(f"cannot load {image.IMAGE}: {error}") from error
        return True

    def _bring_demo(self, api: Api) -> None:
        try:
            if demo.ensure(api, self.settings):
                self._say(f"created the demo service '{demo.NAME}' in cluster '{self.settings.cluster}'")
                # so that a first look shows it; when it takes longer, `status` says why
                self._supervisor.wait_for(lambda: demo.is_running(api, self.settings), DEMO_SECONDS)
        except (AwsError, ApiUnreachable) as error:
            self._say(f"without the demo service: {error}")

    # -- children -----------------------------------------------------------------------------------

    def _start_python(self, name: str) -> None:
        # -P: nothing in the working folder can stand in for a module of ours
        argv = (sys.executable, "-P", "-m", "monitor", name)
        environ = child_environment(self._environ, self.settings)
        self._supervisor.start(ChildSpec(name, argv, environ, self._logs / f"{name}.log"))

    def _await(self, name: str, is_ready: Callable[[], bool], seconds: float, complaint: str) -> None:
        child = self._supervisor.children[name]

        def settled() -> bool:
            return is_ready() or _is_hopeless(child)

        self._supervisor.wait_for(settled, seconds, every_seconds=0.05)
        if self._supervisor.stop_requested:
            raise StoppedByUser
        if not child.is_running or not is_ready():
            detail = "\n  ".join(last_lines(child.spec.log))
            raise UpFailed(f"{complaint}; the end of {child.spec.log}:\n  {detail or '(empty)'}")

    def _started(self, name: str, who: ProcessIdentity) -> None:
        self._record = self._record.with_child(name, who)
        record.save(self.settings.state, self._record)

    def _mark(self, phase: str, problem: str = "") -> None:
        self._record = replace(self._record, phase=phase, problem=problem)
        record.save(self.settings.state, self._record)

    # -- the end ------------------------------------------------------------------------------------

    def _end(self, problem: str) -> None:
        if self._supervisor.children:
            self._say("stopping")
            self._mark(STOPPING, problem)
            for name in (AGENT, CONTROL):
                self._supervisor.stop(name, PATIENCE_SECONDS[name])
            if self._own is not None:
                self._end_docker(self._own)
            else:
                _say_left(self.settings, self._say)
        self._supervisor.close()
        if problem:
            self._mark(FAILED, problem)
        elif self.settings.state.is_dir():
            record.forget(self.settings.state)

    def _end_docker(self, own: OwnDaemon) -> None:
        count, problems = _stop_containers(own.host, self.settings)
        for line in problems:
            self._say(line)
        if self._supervisor.stop(DOCKERD, PATIENCE_SECONDS[DOCKERD]) == "killed":
            self._say("our Docker daemon did not end in time and was killed")
        dockerd.clear(own, self._say)
        self._say(f"stopped {count} containers and our Docker daemon; nothing is left running")


def _first_record(settings: Settings, me: ProcessIdentity) -> UpRecord:
    names = ("host", "port", "agent_port", "region", "account", "auth", "cluster", "docker_host")
    return UpRecord(STARTING, me, docker_ours=False, **{name: getattr(settings, name) for name in names})


def _is_hopeless(child: Child) -> bool:
    """Starting it again would end the same: wrong settings (2), or it has failed three times."""
    return not child.is_running and (child.exit == 2 or child.starts >= 3)


def child_environment(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The settings as MOORWATCH_* variables, so that a child reads just what its supervisor decided."""
    chosen = {
        f"MOORWATCH_{item.name.upper()}": str(getattr(settings, item.name))
        for item in fields(Settings)
        if item.name != "origins"
    }
    return {**environ, **chosen, "PYTHONUNBUFFERED": "1"}


def _check_ports(settings: Settings) -> None:
    for name in ("port", "agent_port"):
        number = getattr(settings, name)
        if problem := port_problem(settings.host, number):
            raise ConfigError(
                f"{name} = {number} ({settings.origins.get(name)}) cannot be listened on at {settings.host}: "
                f"{problem}. Stop what uses it, or choose another with --{name.replace('_', '-')}."
            )


def _answers(api: Api) -> bool:
    try:
        api.ecs("ListClusters", {})
    except ApiUnreachable:
        return False
    except AwsError as error:
        raise UpFailed(
            f"{api.endpoint} answers {error}: another control plane listens there. Stop it, or choose another port "
            "with --port."
        ) from error
    return True


class _AgentConnected:
    """True once a container instance of the cluster has a connected agent."""

    def __init__(self, api: Api, cluster: str) -> None:
        self._api = api
        self._cluster = cluster

    def __call__(self) -> bool:
        try:
            arns = self._api.ecs("ListContainerInstances", {"cluster": self._cluster})[
                "containerInstanceArns"
            ]
            if not arns:
                return False
            wanted = {"cluster": self._cluster, "containerInstances": arns[:100]}
            found = self._api.ecs("DescribeContainerInstances", wanted)["containerInstances"]
        except ApiUnreachable:
            return False
        except AwsError as error:
            if error.code == "ClusterNotFoundException":
                return False
            raise UpFailed(f"the control plane answers {error}") from error
        return any(instance.get("agentConnected") for instance in found)


# -- down --------------------------------------------------------------------------------------------------


def take_down(settings: Settings, say: Say, *, stop_foreign_containers: bool) -> Down:
    """Stop what the last `up` on this state folder started, whether or not its supervisor still lives."""
    found = record.load(settings.state)
    own = dockerd.own_daemon(settings.state)
    stopped: list[str] = []
    count, problems = 0, []
    ours = found is not None and found.docker_ours
    if found is not None and found.is_running:
        say(f"asking 'up' (pid {found.supervisor.pid}) to stop")
        if process.stop(found.supervisor, settings.stop_timeout_seconds + 90.0) == "killed":
            problems.append("'up' did not end in time and was killed")
        stopped.append("up")
    for name in (AGENT, CONTROL):
        who = found.children.get(name) if found is not None else None
        if who is not None and process.stop(who, PATIENCE_SECONDS[name]) != "gone":
            stopped.append(name)
    if (daemon := dockerd.running_process(own)) is not None:
        if DockerApi(own.host).answers():
            count, more = _stop_containers(own.host, settings)
            problems += more
        process.stop(daemon, PATIENCE_SECONDS[DOCKERD])
        stopped.append(DOCKERD)
        ours = True
    if ours:
        dockerd.clear(own, say)
    left = 0
    if found is not None and not ours:
        count, left, more = _foreign_containers(found, settings, stop=stop_foreign_containers)
        problems += more
    record.forget(settings.state)
    return Down(tuple(stopped), count, left, tuple(problems))


def _stop_containers(host: str, settings: Settings, task_prefix: str = "") -> tuple[int, list[str]]:
    try:
        return dockerd.stop_containers(host, round(settings.stop_timeout_seconds), task_prefix)
    except (DockerUnreachable, DockerRefused) as error:
        return 0, [f"containers were not stopped: {error}"]


def _foreign_containers(found: UpRecord, settings: Settings, *, stop: bool) -> tuple[int, int, list[str]]:
    """Stop or count our containers on a daemon that was there before us: (stopped, left, problems)."""
    prefix = task_prefix(found.region, found.account)
    if stop:
        count, problems = _stop_containers(found.docker_host, settings, prefix)
        return count, len(problems), problems
    return 0, count_containers(found.docker_host, prefix), []


def task_prefix(region: str, account: str) -> str:
    """How the ARNs of our tasks begin: another ECS agent may use the same daemon for another account."""
    return f"arn:aws:ecs:{region}:{account}:task/"


def count_containers(host: str, prefix: str) -> int:
    """How many containers of tasks run at a daemon; 0 when it does not answer."""
    try:
        return len(dockerd.containers(DockerApi(host), prefix))
    except (DockerUnreachable, DockerRefused):
        return 0


def _say_left(settings: Settings, say: Say) -> None:
    left = count_containers(settings.docker_host, task_prefix(settings.region, settings.account))
    if left:
        say(
            f"{left} containers go on running on {settings.docker_host}, which is not ours to stop "
            "('moorwatch down --stop-containers' ends them)"
        )
