"""The command line: parsing and printing only. What a command needs is imported inside it, so that help is quick."""
