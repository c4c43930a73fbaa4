"""Who may do what on one host: the two ways in for calls and the question before each start, built from what the host
trusts, and built anew when it trusts something else."""

from __future__ import annotations

import asyncio
import time

from lattice import errors
from lattice.actors import Actors, ActorSpec
from lattice.authority import Authority
from lattice.control.policy_service import PolicyService
from lattice.links import LinkTable
from lattice.parties import Parties, starting_actor, starting_provider
from lattice.pipeline import Pipeline
from lattice.router import Router
from lattice.security.claims import Claims
from lattice.security.policy import Every, Party, Policy
from lattice.security.rules import PolicySettings, Rules
from lattice.security.settings import SecuritySettings
from lattice.supervisor import Supervisor
from lattice.telemetry.audit import Audit
from lattice.telemetry.metrics import Metrics
from lattice.transport.transport import Transport

UNPROVEN = "(unproven)"
"""Whose refusals are counted that say who they are and cannot show it."""


class Guard:
    """`outgoing` is the pipeline for calls that are made here, `incoming` that for calls from other hosts."""

    def __init__(
        self,
        router: Router,
        links: LinkTable,
        metrics: Metrics,
        me: Party,
        lattice: str,
        security: SecuritySettings,
        transport: Transport | None,
    ) -> None:
        """`me` is this host, whose labels may change. Raises `errors.ConfigError` for a policy service without a
        transport."""
        self._me = me
        self._metrics = metrics
        self._transport = transport
        self.require_usable(security)
        self._service: PolicyService | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self.parties = Parties(router, me)
        self.parties.proven = security.cluster.signing is not None
        self.authority = Authority(
            router,
            links,
            self.parties.claims,
            self.parties.party,
            me.key,
            lattice=lattice,
            unsigned=security.actors.unsigned,
            issuers=security.actors.issuers,
            policy=self._policy(security.policy),
        )
        self.audit = Audit()
        self.outgoing = Pipeline(router.resolve, metrics, self.authority.leaving, self.audit)
        self.incoming = Pipeline(router.resolve_here, metrics, self.authority.arriving, self.audit)

    def meet(self, actors: Actors, supervisor: Supervisor) -> None:
        """Those that run here, which were made with `permit_actor` and `permit_provider`."""
        self.parties.meet(actors, supervisor)
        actors.on_revised(self.authority.clear)

    def apply(self, security: SecuritySettings) -> None:
        """Other settings from now on; what runs goes on. Raises `errors.ConfigError`, and then nothing is changed."""
        self.require_usable(security)
        service = self._service
        policy = self._policy(security.policy)
        self.parties.proven = security.cluster.signing is not None
        actors = security.actors
        self.authority.apply(unsigned=actors.unsigned, policy=policy, issuers=actors.issuers)
        if service is not None:
            task = asyncio.create_task(service.close(), name="policy")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def require_usable(self, security: SecuritySettings) -> None:
        """Raises `errors.ConfigError` for settings that `apply` would not take."""
        if security.policy.service is not None and self._transport is None:
            raise errors.ConfigError(
                "policy.service is asked over NATS, and this host has joined none",
                remedy="use lattice host, or leave policy.service out",
            )

    def refused(self, who: str, what: str, error: errors.CallError) -> None:
        """Something that is not proven to come from `who` was refused; anybody may say anything there."""
        self._metrics.refuse(UNPROVEN, error.code)
        self.audit.refused(who, what, "", error.code, error.message, time.monotonic())

    async def close(self) -> None:
        await asyncio.gather(*self._leaving)
        if self._service is not None:
            await self._service.close()

    def _policy(self, settings: PolicySettings) -> Policy | None:
        """None when everything is permitted that claims and links permit."""
        rules = Rules(settings)
        if settings.service is None:
            self._service = None
            return None if settings.permit and not settings.rules else rules
        assert self._transport is not None, "looked at by `require_usable`"
        self._service = PolicyService(self._transport, settings.service)
        return Every(rules, self._service)

    async def permit_actor(self, key: str, spec: ActorSpec, claims: Claims | None) -> None:
        """Raises `errors.Denied`, or another `errors.CallError` when policy cannot decide."""
        await self.authority.require_start("start_actor", starting_actor(key, spec, claims, self._me.labels))

    async def permit_provider(self, key: str, name: str, application: str, contract: str) -> None:
        """Raises as `permit_actor`."""
        party = starting_provider(key, name, application, self._me.labels)
        await self.authority.require_start("start_provider", party, contract)
