"""The control plane process: loops around the store."""
