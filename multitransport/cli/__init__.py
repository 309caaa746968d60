"""The command `multitransport`."""
