"""Verbs on telemetry: pure rules from metric values and times to decisions."""
