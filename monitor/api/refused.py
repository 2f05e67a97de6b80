"""Operations that have no meaning on machines of one's own, or are not there yet, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.model.errors import AwsError, ClientFault
from monitor.wire import models

# Service → a part of the operation's name → why all operations of that family are refused. The first that fits counts.
_FAMILIES: Mapping[str, Mapping[str, str]] = {
    "ecs": {
        "ExpressGateway": (
            "Express services set up load balancers and certificates of AWS, which are not here. Use CreateService."
        ),
        "Gateway": (
            "Gateways are managed load balancers of AWS; there is none here. Publish a port with portMappings."
        ),
        "Daemon": (
            "Daemon resources belong to Managed Instances, which are Amazon's machines. A service with the "
            "schedulingStrategy DAEMON runs one task on each instance."
        ),
        "ExecuteCommand": (
            "There is no session agent in the tasks: use `docker exec` on the machine that runs the container."
        ),
        "UpdateContainerAgent": (
            "There is no update available for your container agent: it comes with Moorwatch, update that."
        ),
        "ListServicesByNamespace": "There are no Cloud Map namespaces here, so no service is in one.",
    },
    models.CLOUDWATCH: {
        "AnomalyDetector": "There are no anomaly detection models here. Alarm on a threshold or on metric math.",
        "InsightRule": (
            "There are no Contributor Insights rules here. Ask CloudWatch Logs Insights (StartQuery) for the top of "
            "something."
        ),
        "MetricStream": "There are no metric streams here. Scrape /metrics, or use `moorwatch push cloudwatch`.",
        "AlarmMuteRule": "There are no mute rules here. Use DisableAlarmActions, or a silence of Alertmanager.",
        "PutLogAlarm": "There are no alarms on log queries here. Put a metric filter and an alarm on its metric.",
        "OTelEnrichment": "Metrics that come by OTLP are kept as they come.",
        "Dataset": "There are no datasets here: metrics are in the metric store.",
        "MetricDataQueryDefinition": "There are no saved queries here. Keep them in a dashboard.",
        "ResourceMetricsConfiguration": (
            "What is published is set for each cluster by containerInsights (UpdateClusterSettings)."
        ),
    },
    models.LOGS: {
        "KmsKey": "There is no KMS here: the log store is a file of mode 0600.",
        "SubscriptionFilter": (
            "There are no subscription filters here. Follow a group with StartLiveTail, or turn lines into metrics "
            "with PutMetricFilter."
        ),
        "ExportTask": "There is no S3 here. Read a group with FilterLogEvents.",
        "ImportTask": "There is no CloudTrail Lake here to import from. Use PutLogEvents.",
        "Deliver": "Nothing is delivered to AWS's own destinations here. Follow a group with StartLiveTail.",
        "Destination": "There are no destinations of other accounts here: there is one account.",
        "Anomal": "There is no log anomaly detection here. Put a metric filter and an alarm on its metric.",
        "QueryDefinition": "There are no saved queries here. Keep the text and use StartQuery.",
        "ScheduledQuer": "There are no scheduled queries here. Run StartQuery from a scheduled task.",
        "Index": "Fields are not indexed here: each query reads what it needs.",
        "Transformer": "Events are kept as they come here. Parse them in the query (parse, jsonParse).",
        "DataProtection": "Nothing is masked here. Keep secrets out of the output.",
        "Policy": "There is one account here and no policies: who has the access key may do everything.",
        "Policies": "There is one account here and no policies: who has the access key may do everything.",
        "Integration": "There is no OpenSearch and no S3 Tables here.",
        "LookupTable": "There are no lookup tables here.",
        "Syslog": "There is no syslog endpoint here. Docker's log driver syslog sends to yours.",
        "BearerToken": "There are no bearer tokens here: requests are signed.",
        "DeletionProtection": "Log groups cannot be protected from deletion here.",
        "ConfigurationTemplate": "Nothing is delivered to AWS's own destinations here.",
        "GetLogRecord": "Records are not looked up by pointer here. Ask for the fields in the query.",
        "GetLogObject": "Large objects are not kept apart here: an event has at most 1 MB.",
        "GetLogFields": "Use GetLogGroupFields.",
        "ListLogGroups": "Use DescribeLogGroups.",
        "Summaries": "Use DescribeLogGroups.",
    },
    models.EVENTS: {
        "EventBus": "There is one event bus here: default.",
        "Permission": "There is one account here: nobody else can be let in.",
        "EventSource": "There are no partner event sources here. Use PutEvents.",
        "Partner": "There are no partner event sources here. Use PutEvents.",
        "Endpoint": "There are no global endpoints here: there is one control plane.",
        "Connection": "Connections are made and deleted, not changed, here: DeleteConnection, then CreateConnection.",
    },
    models.SNS: {
        "Permission": "There is one account here: nobody else can be let in.",
        "Platform": "There is no mobile push here. Subscribe a webhook (http, https), email or command.",
        "EndpointAttributes": "There is no mobile push here. Subscribe a webhook (http, https), email or command.",
        "DeleteEndpoint": "There is no mobile push here. Subscribe a webhook (http, https), email or command.",
        "SMS": "There is no SMS here. Subscribe a webhook (http, https), email or command.",
        "Phone": "There is no SMS here. Subscribe a webhook (http, https), email or command.",
        "OriginationNumbers": "There is no SMS here. Subscribe a webhook (http, https), email or command.",
        "DataProtection": "Nothing is masked here. Keep secrets out of messages.",
    },
    "sts": {
        "": "There are no roles, sessions or policies here: requests are signed with the access key itself."
    },
}
# Where the model has a code of its own for it.
_CODES = {
    ("ecs", "ExecuteCommand"): "TargetNotConnectedException",
    ("ecs", "UpdateContainerAgent"): "NoUpdateAvailableException",
    ("ecs", "ListServicesByNamespace"): "NamespaceNotFoundException",
}
# Else the first of these that the operation declares, so that clients know what they caught.
_MODELLED = (
    "UnsupportedFeatureException",
    "OperationDisabledException",
    "InvalidOperationException",
    "ValidationException",
    "InvalidParameterException",
    "InvalidParameterCombination",
    "InvalidParameterValue",
    "InvalidParameter",
)


def reason(service: str, operation: str) -> str:
    """Why the operation is refused; "" when it is not one of these."""
    return next((why for part, why in _FAMILIES.get(service, {}).items() if part in operation), "")


def refusal(service: str, operation: str) -> AwsError:
    """An error that the model declares, if it declares any that fits; it names the operation and says why."""
    why, code = reason(service, operation), _CODES.get((service, operation))
    if code is not None:
        return ClientFault(code, f"{operation}: {why}")
    declared = models.declared_errors(service, operation)
    # AWS's common error for what an endpoint does not do.
    code = next((code for code in _MODELLED if code in declared), "UnsupportedOperation")
    return ClientFault(code, f"{operation} is not implemented by Moorwatch. {why}".strip())
