"""Pages of people and accounts: thin functions that fetch, call one service and answer."""
