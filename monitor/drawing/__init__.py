"""Pictures of metrics. matplotlib is imported by the process that draws, and by no other."""
