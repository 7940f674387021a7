"""The only room that knows SQL: the chain of events, and the rows that are drawn from it."""
