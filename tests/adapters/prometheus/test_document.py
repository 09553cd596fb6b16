"""The page is whole: nothing is fetched from elsewhere, nothing is run but what it brings."""

from __future__ import annotations

import base64
import hashlib
import re

from ratelimit_client.adapters.prometheus.document import document

PAGE = document().body.decode()
POLICY = dict(rule.split(" ", 1) for rule in document().policy.split("; "))


def inside(tag: str) -> str:
    (found,) = re.findall(f"<{tag}>(.*?)</{tag}>", PAGE, re.DOTALL)
    return str(found)


def test_nothing_comes_from_elsewhere():
    """
    No address of another place, and none of a file beside it but the two it links to.
    """
    assert set(re.findall(r"https?://[^\s'\"]+", PAGE)) == {"http://www.w3.org/2000/svg"}
    assert set(re.findall(r'(?:src|href)="([^"#]*)"', re.sub(r'href="data:[^"]*"', "", PAGE))) == {"state.json"}
    assert "@import" not in PAGE
    assert "url(" not in inside("style")


def test_the_policy_names_what_runs():
    """
    Style and script by the hash of what stands in the page; everything else that a browser could load is none.
    """
    for rule, tag in (("style-src", "style"), ("script-src", "script")):
        digest = base64.b64encode(hashlib.sha256(inside(tag).encode()).digest()).decode()
        assert POLICY[rule] == f"'sha256-{digest}'"
    assert POLICY["default-src"] == "'none'"
    assert POLICY["connect-src"] == "'self'"
    assert not any("unsafe" in sources or "*" in sources for sources in POLICY.values())


def test_a_text_is_put_in_as_a_text():
    """
    The script knows no way to make a text into elements, attributes into style, or a text into a program.
    """
    script = inside("script")
    elements = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "srcdoc")
    for way in (*elements, "eval(", "Function(", "cssText"):
        assert way not in script
    assert not re.search(r"\sstyle=|\son[a-z]+=", PAGE.replace(inside("script"), "").replace(inside("style"), ""))


def test_a_page_that_can_be_read():
    """
    It has a language, a title, one main part, one first heading, and a way around what stands above.
    """
    assert '<html lang="en">' in PAGE
    for once in ("<title>", "<h1>", "<main ", "<header>", "<footer>", 'role="status"', 'class="skip" href="#main"'):
        assert PAGE.count(once) == 1
    assert "prefers-color-scheme: dark" in PAGE
    assert "prefers-reduced-motion" in PAGE
