"""SNS-like topics: alarms and rules publish to them, webhooks, mail and local commands subscribe."""
