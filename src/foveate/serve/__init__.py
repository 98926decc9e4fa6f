"""A page and an API that answer for photographs, with their evidence."""
