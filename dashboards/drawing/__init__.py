"""Drawing a board with Grafana's own component library: the page's sources, how to build it, how to drive it."""
