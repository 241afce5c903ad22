"""Estimates with their controls, a file for each part of the study: quick, made anew each time."""
