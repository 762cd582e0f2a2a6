"""Simulated devices and the plans that come with bluesky.

Devices are made one by one: `ophyd.sim.hw()` would make forty, and that takes time at every start.
"""

# ruff: noqa: F401, F403 - everything imported here is meant for the namespace
from bluesky.plan_stubs import mv, mvr, null, sleep
from bluesky.plans import *
from ophyd import Component, Device
from ophyd.sim import SynAxis, SynGauss

motor = SynAxis(name="motor", labels={"motors"})
motor1 = SynAxis(name="motor1", labels={"motors"})
motor2 = SynAxis(name="motor2", labels={"motors"})
det = SynGauss("det", motor, "motor", center=0, Imax=1, sigma=1, labels={"detectors"})
det1 = SynGauss("det1", motor1, "motor1", center=0, Imax=5, sigma=0.5, labels={"detectors"})
det2 = SynGauss("det2", motor2, "motor2", center=1, Imax=2, sigma=2, labels={"detectors"})
noisy_det = SynGauss(
    "noisy_det",
    motor,
    "motor",
    center=0,
    Imax=1,
    noise="uniform",
    sigma=1,
    noise_multiplier=0.1,
    labels={"detectors"},
)


class SampleStage(Device):
    """A sample stage with two simulated axes."""

    x = Component(SynAxis, name="x")
    y = Component(SynAxis, name="y")


stage = SampleStage(name="stage", labels={"stages"})
