"""The rehearsal: a local stand-in for services, under their real host names, that remembers what was really stored."""
