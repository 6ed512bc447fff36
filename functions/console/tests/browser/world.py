"""What the walks stand on: the real program on a directory of its own, what was sent to it, and a browser that is watched."""
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from playwright.sync_api import Error as BrowserError
from playwright.sync_api import sync_playwright

PAGE = pathlib.Path(__file__).resolve().parents[2] / "page"
TABS = ["now", "explore", "shopper", "functions", "letters"]
# A start of a debug build on a loaded machine.
START_S = 60
# The contract's bound for aggregates.
VISIBLE_S = 60
# What a page does by itself, beside a compiler.
PATIENCE_S = 30
SENDERS = 16
SCRIPT = "<script>alert(1)</script>"
IMAGE = "<img src=x onerror=alert(1)>"
RTL = "oak\u202egnp.exe\u2069"
LONG = "L" * 65_536
BRANDS = {"Oakworks": 9, "Fern_and_Co": 7, "Birch": 5, "Ebros_Gift": 4, "Mossgarden": 3, "Heath": 2}


class Failed(Exception):
    """What is not as it should be."""


def check(holds, otherwise):
    if not holds:
        raise Failed(otherwise)


def same(found, expected, what):
    check(found == expected, f"{what}: found {str(found)[:600]}, expected {str(expected)[:600]}")


def eventually(attempt, within_s=VISIBLE_S, page=None):
    """Tries again until it holds. What a page has asked is only heard of while it is waited on."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return attempt()
        except (Failed, BrowserError, OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise
            page.wait_for_timeout(100) if page else time.sleep(0.1)


def utc(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class Allezon:
    """The program, on one port all the time, also when it is stopped and started again."""

    def __init__(self, flags=()):
        self.flags = list(flags)
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="allezon-console-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        self.child = None

    def start(self):
        arguments = [os.environ["ALLEZON"], "--listen", f"127.0.0.1:{self.port}", "--data", self.home / "data", *self.flags]
        with open(self.home / "log", "ab") as log:
            self.child = subprocess.Popen(arguments, env={}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(self.is_up, START_S)

    def is_up(self):
        if self.child.poll() is not None:
            raise SystemExit(f"allezon ended by itself:\n{(self.home / 'log').read_text()[-2000:]}")
        same(self.ask("GET", "/health")[0], 200, "health")

    def stop(self):
        if self.child:
            self.child.send_signal(signal.SIGKILL)
            self.child.wait()
            self.child = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def ask(self, method, path, body=None, headers=None):
        """Status, headers and body, asked on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, headers=None):
        status, _, answer = self.ask(method, path, json.dumps(body) if body is not None else None, headers)
        check(status == 200, f"{method} {path}: {status} {answer[:300]}")
        return json.loads(answer)

    def explore(self, question):
        return self.json("POST", "/explore", question)

    def send(self, tags):
        """Posts all; what is not taken now is sent again, under its key, since it may be stored for all that."""
        def send_some(some):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            for tag in some:
                key = {"idempotency-key": secrets.token_hex(8)}
                while True:
                    connection.request("POST", "/user_tags", json.dumps(tag), key)
                    response = connection.getresponse()
                    response.read()
                    if response.status == 204:
                        break
                    check(response.status == 503, f"a tag was answered {response.status}")
                    time.sleep(0.2)
            connection.close()
        with concurrent.futures.ThreadPoolExecutor(SENDERS) as senders:
            list(senders.map(send_some, [tags[n::SENDERS] for n in range(SENDERS)]))

    @contextlib.contextmanager
    def traffic(self, a_second):
        """Tags of this moment, sent all the time."""
        ended, chance = threading.Event(), random.Random(7)
        def go():
            while not ended.wait(1 / a_second):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    self.ask("POST", "/user_tags", json.dumps(tag_at(chance, time.time())))
                    if chance.random() < 0.3:
                        self.ask("POST", "/user_profiles/lucy?time_range=2022-03-22T12:00:00_2022-03-22T13:00:00")
        senders = [threading.Thread(target=go) for _ in range(2)]
        for sender in senders:
            sender.start()
        try:
            yield
        finally:
            ended.set()
            for sender in senders:
                sender.join()


def tag_at(chance, seconds):
    return {
        "time": f"{utc(seconds)}.{chance.randrange(1000):03}Z",
        "cookie": chance.choice([*["lucy", "tom"] * 5, *(f"c{n}" for n in range(60))]),
        "country": chance.choices(["PL", "SE", "CL", "FI"], [5, 3, 2, 2])[0], "device": chance.choice(["PC", "MOBILE", "TV"]),
        "action": "BUY" if chance.random() < 0.12 else "VIEW", "origin": f"CAMPAIGN_{chance.randrange(8)}",
        "product_info": {
            "product_id": chance.randrange(1, 99_999), "brand_id": chance.choices(list(BRANDS), list(BRANDS.values()))[0],
            "category_id": chance.choice(["Chairs", "Trousers", "Shoes", "Tables"]), "price": chance.randrange(500, 90_000),
        },
    }


def tag_of(cookie, seconds, action="VIEW", **product):
    tag = tag_at(random.Random(3), seconds)
    return {**tag, "cookie": cookie, "action": action, "product_info": {**tag["product_info"], **product}}


class Watched:
    """A page, and all that a person would not forgive."""

    def __init__(self, context, origin, breaks, tree):
        self.forgiven, self.wrong, self.charts, self.drawn, self.held = [], [], [], [], []
        self.page = context.new_page()
        if tree:
            self.page.route(re.compile(r"/console(/[a-z]+\.[a-z]+)?(#.*)?$"), of_the_tree)
        for file, old, new in breaks:
            path = "/console" if file == "console.html" else f"/console/{re.escape(file)}"
            self.page.route(re.compile(f"{path}(#.*)?$"), broken(old, new))
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.wrong.append(f"console: {said.text}"))
        self.page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        self.page.on("request", lambda request: self.requested(request, origin))
        self.page.on("response", lambda response: response.url.endswith("/console/chart") and self.drawn.append(response))
        self.page.on("dialog", lambda dialog: (self.wrong.append(f"a script of a name has run: {dialog.message}"), dialog.dismiss()))

    def requested(self, request, origin):
        if not request.url.startswith((f"{origin}/", f"blob:{origin}/", "data:")):
            self.wrong.append(f"asked another host: {request.url}")
        if request.url.endswith("/console/chart"):
            self.charts.append(request.post_data_json)

    def forgive(self, *parts):
        """What the browser says of failures that this path provokes."""
        self.forgiven += parts

    def release(self):
        """Ends what was held. Before its route is taken off: that sends on all that waits there."""
        while self.held:
            with contextlib.suppress(BrowserError):
                self.held.pop().abort()

    def close(self):
        """Leaves no route waiting: its task would be lost."""
        self.release()
        self.page.unroute_all(behavior="wait")
        self.page.context.close()

    def complaints(self):
        return [wrong for wrong in self.wrong if not any(part in wrong for part in self.forgiven)]


def text_of(response):
    """Nothing where the page did not wait for it."""
    try:
        return response.text()
    except BrowserError:
        return ""


def source_of(url):
    return PAGE / (url.split("#")[0].split("/console", 1)[1].strip("/") or "console.html")


def served(route, text):
    """The text in the place of the file, with the headers that it is served with."""
    try:
        response = route.fetch()
    except BrowserError:
        # The server is gone: so it is for the page.
        route.abort()
        return
    headers = {name: value for name, value in response.headers.items() if name not in ("content-length", "content-encoding")}
    route.fulfill(status=response.status, headers=headers, body=text)


def of_the_tree(route):
    served(route, source_of(route.request.url).read_text())


def broken(old, new):
    """Serves a file of the page with one thing broken."""
    def serve(route):
        text = source_of(route.request.url).read_text()
        if old not in text:
            raise SystemExit(f"nothing to break: {old!r} is no longer in the page: adapt breaks.py")
        served(route, text.replace(old, new))
    return serve


class World:
    """One server with known tags, one browser; each walk opens pages of its own."""

    def __init__(self, tree=False):
        self.allezon = Allezon()
        self.tree = tree
        self.breaks = []
        self.opened = []

    def begin(self):
        self.allezon.start()
        # Whole minutes that are over: nothing changes below the walks' feet.
        self.to = int(time.time() // 60) * 60
        chance = random.Random(1)
        self.tags = [tag_at(chance, self.to - chance.random() ** 1.4 * 3500 - 1) for _ in range(900)]
        self.tags += self.hostile()
        self.allezon.send(self.tags)
        eventually(self.is_visible)
        self.playwright = sync_playwright().start()
        flags = ["--force-color-profile=srgb", "--disable-lcd-text"] + (["--no-sandbox"] if os.geteuid() == 0 else [])
        self.browser = self.playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=flags)

    def hostile(self):
        at = self.to - 1800
        products = [{"brand_id": SCRIPT, "category_id": RTL}, {"brand_id": LONG, "category_id": IMAGE}, {"brand_id": "", "category_id": ""}]
        return [tag_of("hostile", at + 60 * n, product_id=12_345_678_901_234_567_890, **product) for n, product in enumerate(products)]

    def is_visible(self):
        same(self.allezon.explore(self.question())["rows"][0][1], len(self.tags), "tags in the answer")
        found = self.allezon.json("POST", f"/user_profiles/hostile?time_range={utc(0)}_{utc(self.to)}")
        same(len(found["views"]), 3, "views of the hostile shopper")

    def question(self, **more):
        return {"time_range": f"{utc(self.to - 3600)}_{utc(self.to)}", "aggregates": ["count"], **more}

    def shown(self, minute):
        return utc(minute)[:16].replace("T", " ")

    def open(self, hash="", *, theme="light", width=1280, height=900, origin=None, **options):
        """A new page at this hash, as for a person who was never here."""
        origin = origin or self.allezon.origin
        context = self.browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme, accept_downloads=True, **options)
        context.set_default_timeout(PATIENCE_S * 1000)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=origin)
        watched = Watched(context, origin, self.breaks, self.tree)
        self.opened.append(watched)
        watched.page.watched = watched
        watched.page.goto(f"{origin}/console{hash}")
        return watched.page

    def close_pages(self):
        """Closes all and gives what was wrong with any."""
        complaints = [complaint for watched in self.opened for complaint in watched.complaints()]
        while self.opened:
            try:
                self.opened.pop().close()
            except BrowserError as error:
                complaints.append(f"a page does not close: {error}")
        return complaints

    def end(self):
        with contextlib.suppress(Exception):
            self.browser.close()
        with contextlib.suppress(Exception):
            self.playwright.stop()
        self.allezon.remove()

    def renew(self):
        """Another server, other data, another browser."""
        self.end()
        self.allezon = Allezon()
        self.opened.clear()
        self.begin()
