"""What the machine allows: parts of the pipeline alone, and the CPU of an event by stage."""
