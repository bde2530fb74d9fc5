"""From a query to search hits."""
