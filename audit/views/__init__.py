"""Pages and addresses of the log."""
