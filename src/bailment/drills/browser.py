"""A browser that clicks through a sign-in at the simulated provider, as a person would."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urljoin

import httpx2

from bailment.drills.stage import NotAsTold


def sign_in(url: str, email: str) -> str:
    """Open a sign-in's page, go on to the provider, pick the account; the last page's text."""
    with httpx2.Client(follow_redirects=True, trust_env=False, timeout=30) as browser:
        asked = browser.get(url)
        onward = re.search(r'<a rel="nofollow" href="([^"]+)"', asked.text)
        if onward is None:
            raise NotAsTold(f"the page leads nowhere: {plain(asked.text)}")
        form = browser.get(urljoin(url, unescape(onward[1])))
        name = re.search(r'name="asked" value="([^"]+)"', form.text)
        accounts = re.findall(r'name="sub" value="([^"]+)">([^<]+)<', form.text)
        sub = next((sub for sub, shown in accounts if unescape(shown) == email), None)
        if name is None or sub is None:
            raise NotAsTold(f"the provider does not know {email}: {plain(form.text)}")
        done = browser.post(
            urljoin(str(form.url), "/pick"), data={"asked": name[1], "sub": unescape(sub)}
        )
        return plain(done.text)


def plain(html: str) -> str:
    """A page's words."""
    body = html.partition("<h1>")[2] or html
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())
