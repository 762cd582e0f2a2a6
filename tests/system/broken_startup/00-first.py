"""Startup code that loads."""

answer = 42
