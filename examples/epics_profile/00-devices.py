"""Devices on Channel Access: a pinhole that is moved through a beam, and a motor record.

The process variables are those of two example IOCs of caproto, ``mini_beamline`` and ``fake_motor_record``; see
docs/how-to/epics.md for the commands that start them.  Put the names of your own process variables in their place.
"""

from ophyd import EpicsMotor, EpicsSignal, EpicsSignalRO, Kind

pinhole = EpicsSignal("mini:ph:mtr", name="pinhole", labels={"motors"})
intensity = EpicsSignalRO("mini:ph:det", name="intensity", kind=Kind.hinted, labels={"detectors"})
current = EpicsSignalRO("mini:current", name="current", kind=Kind.hinted, labels={"detectors"})
stage = EpicsMotor("sim:mtr1", name="stage", labels={"motors"})

# Without this a device that is away would show only when a plan uses it; so the environment fails to open and says which.
for device in (pinhole, intensity, current, stage):
    device.wait_for_connection(timeout=10)
del device
