"""Real servers for tests, browser helpers and benchmarks."""
