"""What drivers are told: their stops of a played day, as tables, calendars and pages to print."""
