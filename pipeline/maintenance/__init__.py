"""What keeps the books right and fast through the years, beside the stream and never in its way."""
