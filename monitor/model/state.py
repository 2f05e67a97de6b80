"""State: every object of the control plane, with the indexes its readers need.

Pure: it is changed only by `apply`, a batch of changes at a time, and each batch moves `version` on by one.
The store replays it from disk, the scheduler reads it, tests build it by hand. Work per change is bounded;
nothing here grows with history but the stopped tasks and events kept for people, which are dropped by age.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from monitor.model import arn as arns
from monitor.model.alarm import Alarm
from monitor.model.arn import Scope
from monitor.model.capacity import CapacityProvider
from monitor.model.cluster import SHARED_ATTRIBUTE, Cluster, ContainerInstance
from monitor.model.dashboard import Dashboard
from monitor.model.delivery import Delivery
from monitor.model.event import Event
from monitor.model.metric_filter import MetricFilter
from monitor.model.resources import Usage
from monitor.model.rollout import ServiceDeployment, ServiceRevision
from monitor.model.rule import ApiDestination, Archive, Connection, Replay, Rule
from monitor.model.scaling import ScalableTarget, ScalingActivity, ScalingPolicy, ScheduledAction
from monitor.model.service import Service
from monitor.model.setting import AccountSetting
from monitor.model.task import RUNNING, Task
from monitor.model.task_definition import TaskDefinition
from monitor.model.topic import Subscription, Topic

OfService = (
    ServiceRevision | ServiceDeployment | ScalableTarget | ScalingPolicy | ScheduledAction | ScalingActivity
)
OfBus = MetricFilter | Rule | Connection | ApiDestination | Archive | Replay
Plain = (
    CapacityProvider
    | Alarm
    | AccountSetting
    | Dashboard
    | Delivery
    | Topic
    | Subscription
    | OfBus
    | OfService
)
Entity = Cluster | TaskDefinition | Service | Task | ContainerInstance | Plain

SERVICE_EVENTS_KEPT = 100  # ECS keeps the newest 100 of a service
EVENTS_IN_MEMORY = 5_000


@dataclass(frozen=True, slots=True)
class Put:
    entity: Entity


@dataclass(frozen=True, slots=True)
class Drop:
    entity: Entity


@dataclass(frozen=True, slots=True)
class Log:
    event: Event


Change = Put | Drop | Log

# Kinds that need no index but by their service, and the table each is kept in.
_PLAIN: dict[type[Any], str] = {
    CapacityProvider: "capacity_providers",
    Alarm: "alarms",
    AccountSetting: "settings",
    Dashboard: "dashboards",
    Delivery: "deliveries",
    Rule: "rules",
    Connection: "connections",
    ApiDestination: "api_destinations",
    Archive: "archives",
    Replay: "replays",
    MetricFilter: "metric_filters",
    Topic: "topics",
    Subscription: "subscriptions",
    ServiceRevision: "revisions",
    ServiceDeployment: "service_deployments",
    ScalableTarget: "scalable_targets",
    ScalingPolicy: "scaling_policies",
    ScheduledAction: "scheduled_actions",
    ScalingActivity: "scaling_activities",
}

_TABLES: dict[type[Any], str] = {
    Cluster: "clusters",
    TaskDefinition: "definitions",
    Service: "services",
    Task: "tasks",
    ContainerInstance: "instances",
    **_PLAIN,
}

_EMPTY: MappingProxyType[str, Task] = MappingProxyType({})
_NONE: MappingProxyType[str, int] = MappingProxyType({})


# Told of every put of an object of one kind: the object before (None when new) and after.
Listener = Callable[[Any, Any], None]


class State:
    def __init__(self) -> None:
        self._listeners: dict[type[Any], list[Listener]] = {}
        self.version = 0
        self.seq = 0
        self.clusters: dict[str, Cluster] = {}
        self.definitions: dict[str, TaskDefinition] = {}
        self.services: dict[str, Service] = {}
        self.tasks: dict[str, Task] = {}
        self.instances: dict[str, ContainerInstance] = {}
        self.capacity_providers: dict[str, CapacityProvider] = {}
        self.alarms: dict[str, Alarm] = {}
        self.settings: dict[str, AccountSetting] = {}
        self.dashboards: dict[str, Dashboard] = {}
        self.deliveries: dict[str, Delivery] = {}
        self.rules: dict[str, Rule] = {}
        self.connections: dict[str, Connection] = {}
        self.api_destinations: dict[str, ApiDestination] = {}
        self.archives: dict[str, Archive] = {}
        self.replays: dict[str, Replay] = {}
        self.rules_version = 0  # grows with each change of a rule
        self.metric_filters: dict[str, MetricFilter] = {}
        self.topics: dict[str, Topic] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.revisions: dict[str, ServiceRevision] = {}
        self.service_deployments: dict[str, ServiceDeployment] = {}
        self.scalable_targets: dict[str, ScalableTarget] = {}
        self.scaling_policies: dict[str, ScalingPolicy] = {}
        self.scheduled_actions: dict[str, ScheduledAction] = {}
        self.scaling_activities: dict[str, ScalingActivity] = {}
        self.events: deque[Event] = deque(maxlen=EVENTS_IN_MEMORY)
        self.families: dict[tuple[Scope, str], list[str]] = {}
        self.tokens: dict[tuple[str, str], list[str]] = {}
        self.unsettled: dict[str, Task] = {}
        self.deleting: dict[str, None] = {}  # task definitions that go once nothing uses them
        self.stopped: deque[str] = deque()
        self._service_events: dict[str, deque[Event]] = {}
        self._cluster_services: dict[str, dict[str, None]] = {}
        self._cluster_instances: dict[str, dict[str, None]] = {}
        self._cluster_tasks: dict[str, dict[str, None]] = {}
        self._live_by_service: dict[str, dict[str, Task]] = {}
        self._live_by_instance: dict[str, dict[str, Task]] = {}
        self._live_by_cluster: dict[str, dict[str, Task]] = {}
        self._usage: dict[str, Usage] = {}
        self._spread: dict[tuple[str, str], dict[str, int]] = {}
        self._present: dict[tuple[str, str], dict[str, int]] = {}
        self._calm: dict[str, dict[str, int]] = {}
        self._of_service: dict[tuple[type[Any], str], dict[str, None]] = {}

    # -- reading ------------------------------------------------------------------------------------

    def table(self, kind: type[Any]) -> dict[str, Any]:
        """Every object of a kind by its key. Not to be changed by the reader."""
        found: dict[str, Any] = getattr(self, _TABLES[kind])
        return found

    def live_tasks_of_service(self, service_arn: str) -> Iterable[Task]:
        return self._live_by_service.get(service_arn, _EMPTY).values()

    def live_tasks_on(self, instance_arn: str) -> Iterable[Task]:
        return self._live_by_instance.get(instance_arn, _EMPTY).values()

    def live_tasks_of(self, cluster_arn: str) -> Iterable[Task]:
        """The cluster's tasks that have not ended, standbys among them."""
        return self._live_by_cluster.get(cluster_arn, _EMPTY).values()

    def usage_of(self, instance_arn: str) -> Usage:
        """What live tasks take from the instance. Not to be changed by the reader."""
        return self._usage.get(instance_arn) or Usage()

    def spread_of(self, cluster_arn: str, group: str) -> Mapping[str, int]:
        """Instance ARN → tasks of the group that are meant to run there, standbys among them."""
        return self._spread.get((cluster_arn, group), _NONE)

    def present_of(self, cluster_arn: str, group: str) -> Mapping[str, int]:
        """Instance ARN → live tasks of the group there, those that are stopping among them, standbys not."""
        return self._present.get((cluster_arn, group), _NONE)

    def calm_of(self, service_arn: str) -> Mapping[str, int]:
        """Deployment id → its tasks that run as they should: RUNNING, healthy, wanted, no standby."""
        return self._calm.get(service_arn, _NONE)

    def live_count_of(self, service_arn: str) -> int:
        """Live tasks of the service, standbys among them."""
        return len(self._live_by_service.get(service_arn, _EMPTY))

    def revisions_of(self, service_arn: str) -> list[ServiceRevision]:
        """Oldest first, as all that belongs to a service."""
        return [self.revisions[k] for k in self._of_service.get((ServiceRevision, service_arn), ())]

    def service_deployments_of(self, service_arn: str) -> list[ServiceDeployment]:
        keys = self._of_service.get((ServiceDeployment, service_arn), ())
        return [self.service_deployments[k] for k in keys]

    def scaling_policies_of(self, service_arn: str) -> list[ScalingPolicy]:
        return [self.scaling_policies[k] for k in self._of_service.get((ScalingPolicy, service_arn), ())]

    def scheduled_actions_of(self, service_arn: str) -> list[ScheduledAction]:
        return [self.scheduled_actions[k] for k in self._of_service.get((ScheduledAction, service_arn), ())]

    def scaling_activities_of(self, service_arn: str) -> list[ScalingActivity]:
        return [self.scaling_activities[k] for k in self._of_service.get((ScalingActivity, service_arn), ())]

    def services_of(self, cluster_arn: str) -> Iterator[Service]:
        return (self.services[a] for a in self._cluster_services.get(cluster_arn, ()))

    def instances_of(self, cluster_arn: str) -> Iterator[ContainerInstance]:
        return (self.instances[a] for a in self._cluster_instances.get(cluster_arn, ()))

    def capacity_of(self, cluster_arn: str) -> list[ContainerInstance]:
        """The instances on which the cluster's tasks may be placed: its own; where it has none, the shared ones of
        its account and region."""
        own = [i for i in self.instances_of(cluster_arn) if i.status != "INACTIVE"]
        if own:
            return own
        scope = arns.scope_of(cluster_arn)
        return [
            i
            for i in self.instances.values()
            if i.status != "INACTIVE" and SHARED_ATTRIBUTE in i.attributes and arns.scope_of(i.arn) == scope
        ]

    def tasks_of(self, cluster_arn: str) -> Iterator[Task]:
        """Live and stopped ones, oldest first; warm standbys are not tasks to the outside and left out."""
        tasks = (self.tasks[a] for a in self._cluster_tasks.get(cluster_arn, ()))
        return (task for task in tasks if not task.standby)

    def events_of_service(self, service_arn: str) -> Iterable[Event]:
        """Oldest first, at most the newest 100."""
        return self._service_events.get(service_arn, ())

    # -- changing -----------------------------------------------------------------------------------

    def apply(self, changes: Iterable[Change]) -> list[Change]:
        """Apply one batch. Returns it with sequence numbers given to its events."""
        applied: list[Change] = []
        for change in changes:
            if isinstance(change, Log):
                if not change.event.seq:
                    change = Log(replace(change.event, seq=self.seq + 1))
                self._log(change.event)
            elif isinstance(change, Drop):
                self._drop(change.entity)
            else:
                self._put(change.entity)
            applied.append(change)
        self.version += 1
        return applied

    def _log(self, event: Event) -> None:
        self.seq = max(self.seq, event.seq)
        self.events.append(event)
        service = self.services.get(event.service_arn)
        # On a replay, events of an earlier service of the same name are not this one's.
        if service is not None and event.kind == "service" and event.at >= service.created_at:
            kept = self._service_events.setdefault(event.service_arn, deque(maxlen=SERVICE_EVENTS_KEPT))
            kept.append(event)

    def listen(self, kind: type[Any], listener: Listener) -> None:
        """Tell of each put of an object of the kind, once it is in."""
        self._listeners.setdefault(kind, []).append(listener)

    def _put(self, entity: Entity) -> None:
        listeners = self._listeners.get(type(entity))
        old = self.table(type(entity)).get(entity.key) if listeners else None
        self._index(entity)
        for listener in listeners or ():
            listener(old, entity)

    def _index(self, entity: Entity) -> None:
        match entity:
            case Task():
                self._put_task(entity)
            case Service():
                if entity.status == "ACTIVE" and entity.arn in self.services:
                    previous = self.services[entity.arn]
                    if previous.created_at != entity.created_at:  # the name was used again
                        self._service_events.pop(entity.arn, None)
                self.services[entity.arn] = entity
                self._cluster_services.setdefault(entity.cluster_arn, {})[entity.arn] = None
            case ContainerInstance():
                self.instances[entity.arn] = entity
                self._cluster_instances.setdefault(entity.cluster_arn, {})[entity.arn] = None
            case TaskDefinition():
                if entity.arn not in self.definitions:
                    family = (arns.scope_of(entity.arn), entity.family)
                    self.families.setdefault(family, []).append(entity.arn)
                self.definitions[entity.arn] = entity
                if entity.status == "DELETE_IN_PROGRESS":
                    self.deleting[entity.arn] = None
                else:
                    self.deleting.pop(entity.arn, None)
            case Cluster():
                self.clusters[entity.arn] = entity
            case _:
                getattr(self, _PLAIN[type(entity)])[entity.key] = entity
                self.rules_version += isinstance(entity, Rule)
                if isinstance(entity, OfService):
                    self._of_service.setdefault((type(entity), entity.service_arn), {})[entity.key] = None

    def _put_task(self, task: Task) -> None:
        old = self.tasks.get(task.arn)
        if old is not None:
            self._unindex(old)
        else:
            self._cluster_tasks.setdefault(task.cluster_arn, {})[task.arn] = None
            if task.client_token:
                self.tokens.setdefault((task.cluster_arn, task.client_token), []).append(task.arn)
        self.tasks[task.arn] = task
        if task.is_live:
            self._live_by_instance.setdefault(task.instance_arn, {})[task.arn] = task
            self._live_by_cluster.setdefault(task.cluster_arn, {})[task.arn] = task
            self._usage.setdefault(task.instance_arn, Usage()).add(task.needs)
            self._count(task, 1)
            if task.service_arn:
                self._live_by_service.setdefault(task.service_arn, {})[task.arn] = task
        elif old is None or old.is_live:
            self.stopped.append(task.arn)
        if task.desired != RUNNING and not task.settled:
            self.unsettled[task.arn] = task

    def _unindex(self, task: Task) -> None:
        self.unsettled.pop(task.arn, None)
        if not task.is_live:
            return
        _remove(self._live_by_instance, task.instance_arn, task.arn)
        _remove(self._live_by_cluster, task.cluster_arn, task.arn)
        self._count(task, -1)
        if task.service_arn:
            _remove(self._live_by_service, task.service_arn, task.arn)
        usage = self._usage.get(task.instance_arn)
        if usage is not None:  # None: the instance was dropped first
            usage.remove(task.needs)

    def _count(self, task: Task, by: int) -> None:
        group = (task.cluster_arn, task.group)
        if task.desired == RUNNING:
            _add(self._spread, group, task.instance_arn, by)
        if not task.standby:
            _add(self._present, group, task.instance_arn, by)
            if task.service_arn and task.is_healthy:
                _add(self._calm, task.service_arn, task.deployment_id, by)

    def _drop(self, entity: Entity) -> None:
        match entity:
            case Task():
                current = self.tasks.pop(entity.arn, None)
                if current is not None:
                    self._unindex(current)
                    _remove(self._cluster_tasks, entity.cluster_arn, entity.arn)
                    if current.client_token:
                        self._drop_token(current)
                    while self.stopped and self.stopped[0] not in self.tasks:
                        self.stopped.popleft()
            case Service():
                self.services.pop(entity.arn, None)
                self._service_events.pop(entity.arn, None)
                _remove(self._cluster_services, entity.cluster_arn, entity.arn)
            case ContainerInstance():
                self.instances.pop(entity.arn, None)
                self._usage.pop(entity.arn, None)
                _remove(self._cluster_instances, entity.cluster_arn, entity.arn)
            case Cluster():
                self.clusters.pop(entity.arn, None)
            case TaskDefinition():
                raise ValueError("a task definition is never dropped: its revision must not be used again")
            case _:
                getattr(self, _PLAIN[type(entity)]).pop(entity.key, None)
                self.rules_version += isinstance(entity, Rule)
                if isinstance(entity, OfService):
                    _remove(self._of_service, (type(entity), entity.service_arn), entity.key)

    def _drop_token(self, task: Task) -> None:
        token = (task.cluster_arn, task.client_token)
        left = [a for a in self.tokens.get(token, ()) if a != task.arn]
        if left:
            self.tokens[token] = left
        else:
            self.tokens.pop(token, None)


def _add(index: dict[Any, dict[str, int]], outer: Any, inner: str, by: int) -> None:
    counts = index.setdefault(outer, {})
    left = counts.get(inner, 0) + by
    if left > 0:
        counts[inner] = left
        return
    counts.pop(inner, None)
    if not counts:
        del index[outer]


def _remove(index: dict[Any, dict[str, Any]], outer: Any, inner: str) -> None:
    group = index.get(outer)
    if group is not None:
        group.pop(inner, None)
        if not group:
            del index[outer]
