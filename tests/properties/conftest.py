"""Laws are no matter of time: on a busy machine an example may take a second."""

from hypothesis import HealthCheck, settings

settings.register_profile("whatever the time", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("whatever the time")
