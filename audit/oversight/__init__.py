"""What an oversight board looks at: the state of the log, its entries as sentences, opened values, exports."""
