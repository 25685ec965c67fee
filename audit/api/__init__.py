"""The REST API of evaluations and of the log, for auditors, boards and everybody who checks."""
