"""Reporting: drawings (SVG), pages (HTML) and films of what was evaluated."""
