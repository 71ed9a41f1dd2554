"""What a job costs: the time it has its instance, by the price table."""

from dataclasses import dataclass
from datetime import date

from spikeinterface_cloud.prices import AS_OF, SOURCE, on_demand_usd_per_hour
from spikeinterface_cloud.runtime.ec2_metadata import Instance, UnknownInstance

HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """The price of the instance for the time of the job, as if the job had it alone.

    Not in it: the start of the instance, the pull of the image, disks, requests and transfer.
    """

    #: from the start of the job to its end
    seconds: float
    #: None where it is not known, see `reason`
    usd: float | None = None
    #: what it cannot exceed; the price of on demand for an instance of Spot
    usd_at_most: float | None = None
    #: the on-demand price that it was reckoned with
    usd_per_hour: float | None = None
    #: why `usd` is not known
    reason: str | None = None
    prices_as_of: date = AS_OF
    prices_source: str = SOURCE

    def __str__(self) -> str:
        """The cost for people, on one line."""
        if self.usd is not None:
            return f"{self.usd:.2f} USD at {self.usd_per_hour} USD an hour ({self.prices_as_of})"
        if self.usd_at_most is not None:
            return f"at most {self.usd_at_most:.2f} USD: {self.reason}"
        return f"USD unknown: {self.reason}"


def cost_of(instance: Instance | UnknownInstance, seconds: float) -> Cost:
    """The cost of so many seconds of the instance."""
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
