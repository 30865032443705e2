"""Checks of the PagerDuty accounts over the network: addresses, region, REST key, `From`, clock. GET requests only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from resolute.doctor.finding import Finding, not_checked, ok, problem, warning
from resolute.doctor.store import newest_row
from resolute.doctor.subject import Account, Subject
from resolute.doctor.visit import Visit, Visits
from resolute.providers.pagerduty.config import PagerDutyConfig, PagerDutySettings, Region
from resolute.secrets import mask

OFFLINE: Final = "Left out: --offline."
_NO_ACCOUNT: Final = "No PagerDuty account is set up: no flow brings one, and no PAGERDUTY_ variable is set."
#: Pages are looked up from 5 min before they were sent; a clock that is off by more looks in the wrong place.
SKEW_S, TOO_MUCH_SKEW_S = 30.0, 300.0


def region_urls() -> dict[Region, str]:
    """The REST address of each region."""
    regions: tuple[Region, ...] = ("us", "eu")
    return {region: PagerDutyConfig(region=region).resolve({}).api_url for region in regions}


@dataclass(frozen=True)
class Network:
    """The checks that ask PagerDuty.

    Attributes:
        visits: makes the requests; None asks nobody.
        regions: the REST address of each region.
    """

    visits: Visits | None
    regions: Mapping[Region, str] = field(default_factory=region_urls)

    def addresses(self, subject: Subject) -> list[Finding]:
        """Whether both addresses of each account answer."""
        found: list[Finding] = []
        for account, settings, visits in self._askable(subject, found):
            for api, url in (("Events", settings.events_url), ("REST", settings.api_url)):
                visit = self._look(visits, settings, api, url)
                if visit.silence:
                    found.append(problem(f"{account.label}{api} API, {url}: {visit.silence}", visit.fix))
                else:
                    found.append(ok(f"{account.label}{api} API answers at {url}."))
        return found

    def _look(self, visits: Visits, settings: PagerDutySettings, api: str, url: str) -> Visit:
        """One request at an address, for REST the one that shows whether the key is good."""
        if api == "REST" and settings.api_key is not None:
            return visits.get(f"{url}/users", {"limit": "1"}, api_key=settings.api_key)
        return visits.get(f"{url}/")

    def rest_key(self, subject: Subject) -> list[Finding]:
        """Whether the REST key is accepted, and in which region."""
        found: list[Finding] = []
        for account, settings, visits in self._askable(subject, found):
            if settings.api_key is None:
                found.append(not_checked(f"{account.label}There is no API key; events alone need none."))
                continue
            visit = self._look(visits, settings, "REST", settings.api_url)
            found.append(self._judge_key(account, settings, visits, visit))
        return found

    def _judge_key(self, account: Account, settings: PagerDutySettings, visits: Visits, visit: Visit) -> Finding:
        key = f"{account.label}the API key {mask(settings.api_key or '')}"
        key = key[:1].upper() + key[1:]
        match visit.status:
            case None | 407:
                return not_checked(f"{account.label}The REST API does not answer.")
            case 401:
                return self._wrong_region(key, settings, visits) or problem(
                    f"{key} is refused by {settings.api_url} (401).",
                    "Create a REST key under Integrations > API Access Keys and put it into PAGERDUTY_API_KEY.",
                )
            case 403:
                return warning(
                    f"{key} is accepted by {settings.api_url}, but may not read users (403).",
                    "Give it the right to read what the flows look up; a read-only key does.",
                )
            case 429:
                return ok(f"{key} is accepted by {settings.api_url}, which is asked too often just now (429).")
            case status if 200 <= status < 300:
                return ok(f"{key} is accepted by {settings.api_url}.")
            case status:
                return warning(
                    f"{settings.api_url} answered GET /users with {status}, expected 200: the key could not be tried.",
                    "Check that this is the address of the REST API, and look at PagerDuty's status page.",
                )

    def _wrong_region(self, key: str, settings: PagerDutySettings, visits: Visits) -> Finding | None:
        """The finding when another region knows the key; None when no other does, or none is known for the address."""
        if settings.api_url not in self.regions.values():
            return None
        for region, url in self.regions.items():
            status = visits.get(f"{url}/users", {"limit": "1"}, api_key=settings.api_key).status
            if url != settings.api_url and status is not None and 200 <= status < 300:
                return problem(
                    f'{key} belongs to an account in the region "{region}": {url} accepts it, {settings.api_url} does '
                    "not (401).",
                    f'Set PAGERDUTY_REGION={region}, or give PagerDutyConfig(region="{region}").',
                )
        return None

    def requester(self, subject: Subject) -> list[Finding]:
        """Whether the `From` of REST writes is a user of the account."""
        found: list[Finding] = []
        for account, settings, visits in self._askable(subject, found):
            found.append(self._judge_from(account, settings, visits))
        return found

    def _judge_from(self, account: Account, settings: PagerDutySettings, visits: Visits) -> Finding:
        address = settings.default_from
        if settings.api_key is None:
            return not_checked(f"{account.label}There is no API key, and so nothing is written over REST.")
        if address is None:
            if visits.get(f"{settings.api_url}/users/me", api_key=settings.api_key).status == 200:
                return ok(f"{account.label}The API key is a user's own: writes act as that user.")
            return warning(
                f"{account.label}PAGERDUTY_FROM is not set. With this key PagerDuty refuses REST writes "
                "without it (400).",
                "Set PAGERDUTY_FROM to the e-mail address of a user of the account, such as ops@example.com.",
            )
        visit = visits.get(f"{settings.api_url}/users", {"query": address, "limit": "100"}, api_key=settings.api_key)
        users = visit.data.get("users") if isinstance(visit.data, dict) else None
        if visit.status != 200 or not isinstance(users, list):
            return not_checked(f"{account.label}The account's users could not be read ({visit.status or 'no answer'}).")
        emails = [str(user.get("email", "")).casefold() for user in users if isinstance(user, dict)]
        if address.casefold() in emails:
            return ok(f"{account.label}{address} is a user of the account.")
        return problem(
            f"{account.label}PAGERDUTY_FROM is {address}, which no user of the account has: PagerDuty refuses "
            'REST writes with "Requester User Not Found" (400).',
            "Set it to the login e-mail address of a user who is there, best of one made for automation.",
        )

    def clock(self, subject: Subject) -> list[Finding]:
        """Whether this machine's clock agrees with PagerDuty's, and was not set back since the newest run."""
        back = newest_row(subject)
        found = [] if back is None else [back]
        if self.visits is None:
            return found or [not_checked(OFFLINE)]
        dated = {host: visit.ahead_s for host, visit in self.visits.made.items() if visit.ahead_s is not None}
        if not dated:
            return found or [not_checked("No server was asked that tells the time.")]
        host, ahead_s = max(dated.items(), key=lambda each: abs(each[1]))
        if abs(ahead_s) < SKEW_S:
            return found or [ok(f"The clock agrees with that of {host}.")]
        text = (
            f"This machine's clock is {abs(ahead_s):,.0f} s {'ahead of' if ahead_s > 0 else 'behind'} that of {host}."
        )
        fix = "Set it by NTP: `timedatectl set-ntp true`. Schedules fire at this machine's time."
        return [*found, problem(text, fix) if abs(ahead_s) >= TOO_MUCH_SKEW_S else warning(text, fix)]

    def _askable(self, subject: Subject, found: list[Finding]) -> list[tuple[Account, PagerDutySettings, Visits]]:
        """The accounts that can be asked; what is to be said of the others is added to `found`."""
        if self.visits is None:
            found.append(not_checked(OFFLINE))
            return []
        if not subject.accounts:
            found.append(not_checked(_NO_ACCOUNT))
        askable = []
        for account in subject.accounts:
            if account.settings is None:
                found.append(not_checked(f"{account.label}Its settings have faults, see `keys`."))
            else:
                askable.append((account, account.settings, self.visits))
        return askable
