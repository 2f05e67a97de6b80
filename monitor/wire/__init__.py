"""AWS protocols, driven by botocore's service models at run time."""
