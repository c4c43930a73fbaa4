"""The public test kit: a provider on its own (`provider_rig`), and a whole lattice that is simulated (`simulation`)."""

from lattice.testing.provider_rig import ActorStandIn, ProviderRig, provider_rig

__all__ = ["ActorStandIn", "ProviderRig", "provider_rig"]
