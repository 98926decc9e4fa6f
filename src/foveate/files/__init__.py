"""Files written whole or not at all, and what is written in them."""
