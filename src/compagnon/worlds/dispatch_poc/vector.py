"""`compagnon/DispatchPOC-v0`, N copies stepped at once by the compiled kernel."""

from compagnon.envs.decisions import DecisionVectorEnv
from compagnon.worlds.dispatch_poc.core import PocCore
from compagnon.worlds.dispatch_poc.kpis import KPI_NAMES
from compagnon.worlds.dispatch_poc.options import PocOptions


class DispatchPocVectorEnv(DecisionVectorEnv):
    """N days; an ended day is followed by the next one within the same step.

    `info` is that of `DecisionVectorEnv`.

    Args:
        num_envs: how many copies.
        copy: hand out fresh arrays (default); ``False`` hands out the kernel's own, which the next
            step overwrites.
        **options: see `DispatchPocEnv`.
    """

    what = "dispatch proof of concept"
    kpi_names = KPI_NAMES

    def __init__(
        self,
        num_envs: int = 1,
        copy: bool = True,
        render_mode: str | None = None,
        **options: object,
    ) -> None:
        super().__init__(num_envs, copy, render_mode)
        self.options = PocOptions.parse(**options)
        self._take(PocCore(num_envs, self.options))
