"""Measurements, from the checkout only: `make bench`. Speed and memory are judged here, never in timed tests."""
