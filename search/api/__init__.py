"""The REST API of cases, searches, galleries and rules: read the input, call one service, write the output."""
