"""The cost of a job: its duration, by the price of its instance."""

from dataclasses import dataclass
from datetime import date

from spikeinterface_cloud.prices import AS_OF, SOURCE, on_demand_usd_per_hour
from spikeinterface_cloud.runtime.ec2_metadata import Instance, UnknownInstance

HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """The price of the instance for the duration of the job, as if the job had it alone.

    It excludes the start of the instance, the pull of the image, disks, requests and transfer.
    """

    #: from the start of the job to its end
    seconds: float
    #: None if unknown, see `reason`
    usd: float | None = None
    #: upper limit; the on-demand price for a Spot instance
    usd_at_most: float | None = None
    #: the on-demand price of the instance
    usd_per_hour: float | None = None
    #: why `usd` is unknown
    reason: str | None = None
    prices_as_of: date = AS_OF
    prices_source: str = SOURCE

    def __str__(self) -> str:
        """Return the cost for people, on one line."""
        if self.usd is not None:
            return f"{self.usd:.2f} USD at {self.usd_per_hour} USD an hour ({self.prices_as_of})"
        if self.usd_at_most is not None:
            return f"at most {self.usd_at_most:.2f} USD: {self.reason}"
        return f"USD unknown: {self.reason}"


def cost_of(instance: Instance | UnknownInstance, seconds: float) -> Cost:
    """Return the cost of using the instance for this time."""
    if isinstance(instance, UnknownInstance):
        return Cost(seconds=seconds, reason=instance.reason)
    usd_per_hour = on_demand_usd_per_hour(instance.instance_type, instance.region)
    if usd_per_hour is None:
        return Cost(
            seconds=seconds,
            reason=f"the price table of {AS_OF} has no {instance.instance_type} in "
            f"{instance.region}",
        )
    usd = round(usd_per_hour * seconds / HOUR_S, 6)
    match instance.life_cycle:
        case "on-demand":
            return Cost(seconds=seconds, usd=usd, usd_at_most=usd, usd_per_hour=usd_per_hour)
        case "spot":
            reason = "the price of Spot changes, and is never above that of on demand"
            return Cost(seconds=seconds, usd_at_most=usd, usd_per_hour=usd_per_hour, reason=reason)
        case other:
            reason = f"an instance whose life cycle is {other} is not paid by the hour"
            return Cost(seconds=seconds, reason=reason)
