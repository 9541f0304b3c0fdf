"""A real Kubernetes for tests, and a real Hub whose servers are its pods."""
