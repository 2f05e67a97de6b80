"""EventBridge: rules on the default bus, their targets, events of users, archives and replays."""
