"""The REST API: one shape of refusals, parsers with limits, how its schema is made, and the API of people and accounts."""
