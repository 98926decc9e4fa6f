"""Results that go to an address, and models that come from one: whole, or not at all."""
