"""Pages: fetched under guard, read in children that can be killed."""
