"""Grafana boards, to be generated from exporters.names. None yet: Prometheus has the series."""
