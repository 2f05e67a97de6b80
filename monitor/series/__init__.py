"""The metric store: statistic sets by series and time, rolled up and kept as CloudWatch keeps them."""
