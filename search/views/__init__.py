"""Pages of cases, searches and galleries: thin functions that fetch, call one service and answer."""
