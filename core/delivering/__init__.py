"""From events to what stands in the chat."""
