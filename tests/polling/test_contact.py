"""What the parts of a poller know of the contact with Toloka."""

from __future__ import annotations

import asyncio

import pytest

from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaAuthenticationError, TolokaUnavailableError
from airflow_provider_toloka.polling.contact import Contact


class Began(Observer):
    count = 0

    def outage_began(self) -> None:
        self.count += 1


def test_the_contact_knows_the_last_trouble_and_who_is_to_hear_of_it() -> None:
    observer, errors = Began(), list[Exception]()
    contact = Contact(errors.append, observer)
    assert (contact.has_heard, contact.trouble, contact.refused_at) == (False, None, None)
    contact.trouble = TolokaUnavailableError("no answer")
    contact.heard()
    assert contact.has_heard
    assert [contact.trouble] == [None]
    line = contact.of_list.failed(TolokaUnavailableError("no answer"), 10)
    assert line == "Listing Toloka's finished operations failed; still waiting: no answer"
    assert observer.count == 1


@pytest.mark.parametrize(("error", "is_refusal"), [(TolokaAuthenticationError, True), (TolokaUnavailableError, False)])
def test_only_a_refused_token_is_a_refusal(error: type[TolokaApiError], is_refusal: bool) -> None:
    errors: list[Exception] = []

    async def end() -> tuple[float, Contact]:
        contact = Contact(errors.append, Observer())
        contact.end_all(error("no"))
        return asyncio.get_running_loop().time(), contact

    now, contact = asyncio.run(end())
    assert [type(one) for one in errors] == [error]
    assert contact.refused_at == (pytest.approx(now, abs=5) if is_refusal else None)
