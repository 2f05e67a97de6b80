"""Log events on disk: groups, streams, and what containers and programs wrote."""
