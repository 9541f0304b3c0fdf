"""The console: the first page people see. It needs no account and knows nothing about anybody."""
