"""CloudWatch Logs: log groups, streams, and what is in them."""
