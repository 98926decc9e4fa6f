"""The page in a real browser: drop, answer, evidence, twins, errors; a phone's width, the dark, the keyboard, axe."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from browsers import chromium, violations
from foveate.serve.keys import Keys
from foveate.serve.service import Service
from serving import serving

_DROP = """async ([encoded, name, type]) => {
  const bytes = Uint8Array.from(atob(encoded), (each) => each.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type }));
  document.querySelector("h1").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
}"""
_PASTE = """async ([encoded]) => {
  const bytes = Uint8Array.from(atob(encoded), (each) => each.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "pasted.jpg", { type: "image/jpeg" }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


class Opened:
    """A page, and what went wrong in it."""

    def __init__(self, browser: Browser, address: str, *, width: int = 1280, scheme: str = "light") -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,  # type: ignore[arg-type]
            reduced_motion="reduce",
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.problems: list[str] = []
        self.page.on("console", lambda line: self.problems.append(line.text) if line.type != "log" else None)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.asked: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Opened]:
    opened = Opened(browser, address)
    yield opened
    opened.context.close()


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def test_a_dropped_photograph_is_answered_with_its_evidence(opened: Opened, address: str, birds: list[Path]) -> None:
    page = opened.page
    assert violations(page) == []
    page.evaluate(_DROP, [encoded(birds[0]), birds[0].name, "image/jpeg"])
    expect(page.locator(".name")).to_be_visible()
    expect(page.get_by_role("heading", name="Why this one, and not its twin?")).to_be_visible()
    expect(page.locator(".twin")).to_have_count(2)
    expect(page.locator(".typical")).to_have_count(2)
    expect(page.locator(".judged > li")).to_have_count(3)
    expect(page.locator(".bars li")).to_have_count(4)
    best = page.locator(".name").inner_text()
    expect(page.locator("#status")).to_contain_text(best)
    assert violations(page) == []
    shown = page.locator(".answer .layer:not(.off)")
    expect(shown).to_have_count(1)
    page.get_by_role("switch", name=f"Show where it sees {best}").focus()
    page.keyboard.press("Space")
    expect(shown).to_have_count(0)
    second = page.locator("button.row-of-class").nth(1)
    second.focus()
    page.keyboard.press("Enter")
    expect(shown).to_have_count(1)
    expect(page.locator("button.row-of-class").nth(1)).to_be_focused()
    expect(page.locator("button.row-of-class").nth(1)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("switch", name="Let the evidence decide").press("Space")
    expect(page.locator(".judged")).to_have_count(0)
    expect(page.locator(".twin")).to_have_count(2)
    assert opened.problems == []
    assert {url for url in opened.asked if not url.startswith((address, "data:", "blob:"))} == set()


def test_several_are_answered_together_and_what_is_none_is_said(opened: Opened, birds: list[Path]) -> None:
    page = opened.page
    page.evaluate(_PASTE, [encoded(birds[0])])
    expect(page.locator(".eyebrow")).to_have_text("This looks like")
    text = FilePayload(name="words.jpg", mimeType="image/jpeg", buffer=b"a text named .jpg")
    others = [FilePayload(name=path.name, mimeType="image/jpeg", buffer=path.read_bytes()) for path in birds[1:3]]
    page.locator("#files").set_input_files([others[0], text, others[1]])
    expect(page.locator(".eyebrow")).to_have_text("3 photographs together say")
    expect(page.locator(".thumbnail")).to_have_count(3)
    error = page.get_by_role("alert").locator("p")
    expect(error).to_have_count(1)
    expect(error).to_contain_text("words.jpg")
    expect(error).to_contain_text("it is no picture of a known kind")
    expect(page.locator(".twin")).to_have_count(2)
    page.locator(".thumbnail").nth(2).click()
    expect(page.locator(".thumbnail").nth(2)).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".answer .stage > img")).to_have_attribute("alt", f"The photograph {birds[2].name}")
    expect(page.locator(".twin")).to_have_count(2)
    assert violations(page) == []
    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_role("heading", name="What is it?")).to_be_visible()
    expect(page.get_by_role("button", name="Choose photographs")).to_be_focused()
    expect(error).to_have_count(0)
    page.locator("#files").set_input_files(text)
    expect(error).to_contain_text("words.jpg")
    expect(page.get_by_role("heading", name="What is it?")).to_be_visible()
    refused = "Failed to load resource: the server responded with a status of 415 (Unsupported Media Type)"
    assert set(opened.problems) == {refused}, "the browser's own word of what the page says better"


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_it_is_read_on_a_phone_and_in_the_dark(
    browser: Browser, address: str, birds: list[Path], width: int, scheme: str
) -> None:
    opened = Opened(browser, address, width=width, scheme=scheme)
    page = opened.page
    assert violations(page) == []
    page.locator("#files").set_input_files(birds[4:6])
    expect(page.locator(".twin")).to_have_count(2)
    expect(page.locator(".typical")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") == width, "nothing is beside the screen"
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground.strip("rgb()").split(","))) < 200) == (scheme == "dark")
    assert violations(page) == []
    assert opened.problems == []
    opened.context.close()


def test_a_page_with_a_key_says_what_answers_once_it_has_it(
    browser: Browser, zoom_service: Service, birds: list[Path]
) -> None:
    key, names = "a-first-long-key-0123", zoom_service.model.class_names
    with serving(zoom_service, keys=Keys([key])) as url:
        opened = Opened(browser, url)
        page = opened.page
        assert violations(page) == []
        expect(page.locator("#known")).to_be_hidden()
        assert not any(name in page.content() for name in names)
        page.get_by_label("This server asks for its key").fill("a-wrong-long-key-0123")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("alert")).to_contain_text("asks for its key")
        page.get_by_label("This server asks for its key").fill(key)
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#classes li")).to_have_text(list(names), use_inner_text=False)
        expect(page.locator("#model-name")).to_have_text(zoom_service.name)
        page.locator("#files").set_input_files(birds[0])
        expect(page.locator(".typical")).to_have_count(2)
        expect(page.get_by_role("switch", name="Let the evidence decide")).to_be_visible()
        page.reload()
        expect(page.locator("#model-name")).to_have_text(zoom_service.name)
        opened.context.close()
