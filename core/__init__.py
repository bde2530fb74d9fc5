"""The bot without its platforms: a question in, a streamed and footnoted answer out."""
