"""Real servers under real faults: `make chaos`, and a short run among the tests."""
