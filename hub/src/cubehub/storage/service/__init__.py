"""The storage service: the person's own view for Lab and a page, and the administrators' page."""
