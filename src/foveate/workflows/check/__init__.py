"""A data set looked over: equal photographs, leaks, suspected labels."""
