"""CloudWatch's API: metrics, alarms, dashboards."""
