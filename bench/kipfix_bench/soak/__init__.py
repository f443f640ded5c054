"""Long runs and faults: memory stays bounded, totals stay exact, and work continues afterwards."""
