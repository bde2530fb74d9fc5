"""Slack: what people write, choose and press there becomes questions; replies are threads."""
