"""Control plane and agents: whether the watcher itself is well, and what it costs."""

from __future__ import annotations

from dashboards.board import Board, Row
from dashboards.panels import NONE_IS_GOOD, SOME_IS_GOOD, lines, number
from dashboards.queries import HOST, JOB, Query, quantile, rate

BOARD = Board(
    uid="moorwatch-control",
    text="The control plane's loop, store and API, the agents' Docker and samples, and what all of it costs.",
    variables=("job", "instance"),
    has_annotations=False,
    rows=(
        Row(
            "Now",
            (
                number(
                    "Leader",
                    "1 when a control plane runs the scheduler.",
                    "short",
                    Query(f"max(ecs_controlplane_is_leader{{{JOB}}})"),
                    SOME_IS_GOOD,
                ),
                number(
                    "Last look",
                    "Time since the scheduler last looked at the state; it looks at least every five seconds.",
                    "s",
                    Query(f"time() - max(ecs_scheduler_last_loop_timestamp_seconds{{{JOB}}})"),
                    ((None, "green"), (45, "yellow"), (60, "red")),
                ),
                number(
                    "API errors",
                    "Requests answered by 5xx, of all requests.",
                    "percentunit",
                    Query(
                        f'(sum(rate(ecs_api_requests_total{{{JOB}, code=~"5.."}}[$__rate_interval])) or vector(0))'
                        f" / sum(rate(ecs_api_requests_total{{{JOB}}}[$__rate_interval]))"
                    ),
                    ((None, "green"), (0.01, "red")),
                    none="no requests",
                ),
                number(
                    "Agents",
                    "Agents whose session with the control plane is open.",
                    "short",
                    Query(f"sum(ecs_agent_connected{{{HOST}}})"),
                    SOME_IS_GOOD,
                ),
                number(
                    "Docker down",
                    "Agents whose Docker daemon does not answer.",
                    "short",
                    Query(f"count(ecs_agent_docker_up{{{HOST}}} == 0)"),
                    NONE_IS_GOOD,
                    none="0",
                ),
                number(
                    "Sample age",
                    "Age of the oldest agent's newest round of samples.",
                    "s",
                    Query(f"max(ecs_exporter_sample_age_seconds{{{HOST}}})"),
                    ((None, "green"), (5, "yellow"), (90, "red")),
                ),
                number(
                    "Containers sampled",
                    "Containers of which samples are taken.",
                    "short",
                    Query(f"sum(ecs_exporter_containers{{{HOST}}})"),
                ),
                number(
                    "Series scraped",
                    "Samples that Prometheus took in the last scrape of all targets of the job.",
                    "short",
                    Query(f"sum(scrape_samples_scraped{{{JOB}}})"),
                ),
            ),
        ),
        Row(
            "Control plane",
            (
                lines(
                    "Scheduler's look",
                    "Time of one look at the whole state: half and 99 % of them.",
                    "s",
                    Query(quantile(0.5, "ecs_scheduler_loop_duration_seconds", JOB), "p50"),
                    Query(quantile(0.99, "ecs_scheduler_loop_duration_seconds", JOB), "p99"),
                ),
                lines(
                    "Commits",
                    "Time from a change to its being on disk: half and 99 % of them.",
                    "s",
                    Query(quantile(0.5, "ecs_store_commit_duration_seconds", JOB), "p50"),
                    Query(quantile(0.99, "ecs_store_commit_duration_seconds", JOB), "p99"),
                ),
                lines(
                    "API requests",
                    "Requests per second, by operation.",
                    "reqps",
                    Query(rate("ecs_api_requests_total", JOB, "operation"), "{{operation}}"),
                    stacked=True,
                ),
                lines(
                    "API latency",
                    "Time to answer, 99 % of the requests, by operation.",
                    "s",
                    Query(
                        quantile(0.99, "ecs_api_request_duration_seconds", JOB, "operation"), "{{operation}}"
                    ),
                ),
                lines(
                    "API answers by code",
                    "Requests per second by HTTP status. 4xx are the caller's, 5xx are ours.",
                    "reqps",
                    Query(rate("ecs_api_requests_total", JOB, "code"), "{{code}}"),
                    stacked=True,
                ),
                lines(
                    "Events",
                    "Events appended per second, and those that readers asked for too late.",
                    "ops",
                    Query(rate("ecs_events_total", JOB), "appended"),
                    Query(rate("ecs_events_dropped_total", JOB), "missed by readers"),
                ),
            ),
        ),
        Row(
            "Agents",
            (
                lines(
                    "Docker calls",
                    "Time of Docker calls, 99 % of them, by operation. Above ten seconds Docker hangs.",
                    "s",
                    Query(
                        quantile(0.99, "ecs_agent_docker_request_duration_seconds", HOST, "operation"),
                        "{{operation}}",
                    ),
                ),
                lines(
                    "Docker calls without an answer",
                    "Calls per second that failed or ran into their timeout, by operation.",
                    "ops",
                    Query(rate("ecs_agent_docker_errors_total", HOST, "operation"), "{{operation}}"),
                ),
                lines(
                    "Docker's events",
                    "Age of the last event when it was seen, and breaks of the event stream.",
                    "s",
                    Query(f"ecs_exporter_docker_event_lag_seconds{{{HOST}}}", "{{instance}} lag"),
                    Query(
                        rate("ecs_exporter_docker_event_gaps_total", HOST, "instance"),
                        "{{instance}} breaks per second",
                    ),
                ),
                lines(
                    "Cost of sampling and of scrapes",
                    "Time of the last round of samples and of writing the last exposition.",
                    "s",
                    Query(f"ecs_exporter_sample_duration_seconds{{{HOST}}}", "{{instance}} samples"),
                    Query(f"ecs_exporter_render_duration_seconds{{{HOST}}}", "{{instance}} exposition"),
                ),
            ),
        ),
        Row(
            "Cost",
            (
                lines(
                    "CPU of our processes",
                    "Cores that the control plane and the agents use.",
                    "none",
                    Query(f"rate(process_cpu_seconds_total{{{JOB}}}[$__rate_interval])", "{{instance}}"),
                ),
                lines(
                    "Memory of our processes",
                    "Resident memory of the control plane and the agents.",
                    "bytes",
                    Query(f"process_resident_memory_bytes{{{JOB}}}", "{{instance}}"),
                ),
            ),
        ),
    ),
)
