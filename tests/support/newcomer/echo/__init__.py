"""Echo: a surface for one text, answered as JSON strings."""
