"""Large books that are read, checked, rebuilt and given new months, while events go on coming in."""
