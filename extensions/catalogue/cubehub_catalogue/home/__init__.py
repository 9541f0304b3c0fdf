"""Files in the person's home, written without following links, over nothing that is there."""
