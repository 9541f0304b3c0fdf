"""The storage keeper: what fills people's homes. It may run as root over homes that hostile people write to meanwhile."""
