"""The fault campaign: a real server, random operations, random faults, and the laws checked after each fault."""
