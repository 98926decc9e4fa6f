"""`foveate fit`: climb the ladder of methods as far as the time allows, and leave the best one."""
