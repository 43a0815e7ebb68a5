"""What only dispatch has in a report: scorecard, times, a day on the map, saved days."""
