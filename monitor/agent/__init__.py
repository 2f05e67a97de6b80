"""The container agent: one process on every machine that runs tasks."""
