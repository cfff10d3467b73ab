"""The report of a run: one HTML file that needs no network, with charts as inline SVG."""
