"""A real Chromium, driven over ChromeDriver's own HTTP protocol (W3C WebDriver).

Its absence fails a test, it never skips one: `.ci/run` installs it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from risk_daemon.stage.waiting import until

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--metrics-recording-only",
    # Every name but this machine's goes nowhere, and is seen to have been asked for.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
WITHIN_S = 30.0
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ENTER = "\ue007"
LEFT = "\ue012"
INSTALL = "is not installed: apt-get install -y chromium chromium-driver (as .ci/run does)"


class WrongPage(AssertionError):
    """The browser could not do what was asked."""


class Replaced(WrongPage):
    """The page drew an element anew after it was found: nothing was done to it."""


@dataclass(frozen=True)
class Browser:
    """One window."""

    driver: str
    session: str
    pid: int

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask ChromeDriver."""
        return call(method, f"{self.driver}/session/{self.session}{path}", body)

    def go(self, url: str) -> None:
        """Open a page, and wait until it has loaded."""
        self.ask("POST", "/url", {"url": url})

    def run(self, script: str, *args: Any) -> Any:
        """Run script in the page, and return what it returns."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(args)})

    def wait(self, script: str, *args: Any) -> Any:
        """Run script that calls its last argument, and return with what."""
        return self.ask("POST", "/execute/async", {"script": script, "args": list(args)})

    def find(self, css: str) -> str:
        """Return an element; it has to be there."""
        found = self.ask("POST", "/element", {"using": "css selector", "value": css})
        return str(found[ELEMENT])

    def click(self, css: str) -> None:
        """Click as a person does: what is covered or disabled can't be.

        Between our look and the click the page may draw it anew; a person clicks what is there.
        """

        def is_clicked() -> bool:
            try:
                self.ask("POST", f"/element/{self.find(css)}/click", {})
            except Replaced:
                return False
            return True

        until(is_clicked, WITHIN_S, f"{css} to stay for a click")

    def type(self, css: str, text: str) -> None:
        """Type into a field."""
        self.ask("POST", f"/element/{self.find(css)}/value", {"text": text})

    def text(self, css: str) -> str:
        """Return what is to be read at an element; empty where there is none."""
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", css))

    def until_text(self, css: str, wanted: str, within_s: float = WITHIN_S) -> None:
        """Wait until something is to be read."""
        until(lambda: wanted in self.text(css), within_s, f"{css} to say {wanted!r}")

    def press(self, keys: str) -> None:
        """Press keys, one after another, wherever the focus is."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "k", "actions": actions}]})

    def log(self, kind: str) -> list[dict[str, Any]]:
        """Return what was written to a log since it was last asked for."""
        found: list[dict[str, Any]] = self.ask("POST", "/se/log", {"type": kind})
        return found

    def errors(self) -> list[str]:
        """What the console of the page complained of."""
        return [row["message"] for row in self.log("browser") if row["level"] == "SEVERE"]

    def devtools(self, command: str, **params: Any) -> Any:
        """Ask the browser itself."""
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def size(self, width: int, height: int) -> None:
        """Be as large as a screen; a phone's is narrower than a window may be."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )

    def dark(self, is_dark: bool) -> None:
        """Be of somebody who likes it dark, or light."""
        value = "dark" if is_dark else "light"
        features = [{"name": "prefers-color-scheme", "value": value}]
        self.devtools("Emulation.setEmulatedMedia", features=features)

    def picture(self, file: Path) -> None:
        """Take a picture of the whole page."""
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))


def call(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    """Ask once; what the driver says of a failure is raised in its words."""
    raw = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, raw, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())["value"]
    except urllib.error.HTTPError as error:
        told = json.loads(error.read())["value"]
        kind = Replaced if told["error"] == "stale element reference" else WrongPage
        raise kind(f"{told['error']}: {told['message'].splitlines()[0]}") from None


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Open a window of a browser of its own, without a past."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium, f"chromium {INSTALL}"
    assert driver, f"chromedriver {INSTALL}"
    with (
        tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as data,
        subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True) as running,
    ):
        try:
            url = f"http://127.0.0.1:{port_of(running)}"
            options = {
                "binary": chromium,
                "args": [*FLAGS, f"--user-data-dir={data}"],
                "perfLoggingPrefs": {"enableNetwork": True},
            }
            wanted = {
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            }
            made = call("POST", f"{url}/session", {"capabilities": {"alwaysMatch": wanted}})
            window = Browser(url, made["sessionId"], running.pid)
            try:
                window.size(1440, 1000)
                window.go("about:blank")  # its own first page asks whom it likes
                yield window
            finally:
                window.ask("DELETE", "")
        finally:
            running.terminate()


def port_of(driver: subprocess.Popen[str]) -> int:
    """Return the port that a driver has chosen; it says so once it is ready."""
    assert driver.stdout is not None
    for line in driver.stdout:
        found = re.search(r"started successfully on port (\d+)", line)
        if found:
            return int(found[1])
    raise AssertionError(f"chromedriver ended with {driver.wait()}")
