"""Hostile and rare pages for the rehearsal: what no installed package should carry."""
