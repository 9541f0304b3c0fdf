"""Mails of the platform: an outbox on the disk that loses none, and the way from there to a mail server."""
