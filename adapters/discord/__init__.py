"""Discord: questions from messages, commands and menus; replies that grow by edits."""
