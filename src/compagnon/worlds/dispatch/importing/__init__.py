"""Days of dispatch from real data: tables, public instances, databases; every bad row is named."""
