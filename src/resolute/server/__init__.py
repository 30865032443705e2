"""What a worker answers over HTTP; needs the `server` extra."""
