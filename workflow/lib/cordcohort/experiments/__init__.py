"""Declared experiments: one model a phase and seed, with masks corrected by people in between."""
