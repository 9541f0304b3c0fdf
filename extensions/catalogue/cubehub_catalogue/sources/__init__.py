"""The types of catalogues, each behind the same three questions."""
