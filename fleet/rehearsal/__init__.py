"""The rehearsal: local stand-ins for services, under their real host names, that record what was actually stored."""
