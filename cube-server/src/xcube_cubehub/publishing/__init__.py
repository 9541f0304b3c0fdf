"""Cubes that people publish: taken in over HTTP, judged, built, and told to the server. A process of its own.

`judging` and `rules` decide and are pure; `records` and `uploads` are what is on disk; `people` asks the Hub; `api` and
`process` join them.
"""
