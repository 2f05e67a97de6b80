"""The verbs on cluster state: pure functions from values to values. Standard library only."""
