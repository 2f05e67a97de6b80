"""Per-container metrics of a Docker host. Stands alone: `python -m exporters` needs nothing of the rest."""
