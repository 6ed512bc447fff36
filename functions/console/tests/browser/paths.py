"""The paths of a person, each on pages of its own. What is expected is asked of the functions directly, never of the page."""
import contextlib
import csv
import gzip
import json
import re
import subprocess
import time
import urllib.parse

from axe_playwright_python.sync_playwright import Axe

from world import IMAGE, LONG, PAGE, PATIENCE_S, SCRIPT, TABS, Allezon, check, eventually, same, text_of, utc

MOST_COMPRESSED = 150 * 1024
TITLES = {"now": "Now", "explore": "Explore", "shopper": "Shopper", "functions": "Functions", "letters": "Dead letters"}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


# What walks share

def soon(page, attempt):
    """Tries until it holds: a page does most things a moment after it was told to, and a busy machine makes that long."""
    return eventually(attempt, PATIENCE_S, page)


def same_soon(page, look, expected, what):
    soon(page, lambda: same(look(), expected, what))


def wait_text(page, selector, test, what):
    """The text of an element, once it passes the test."""
    def attempt():
        text = page.locator(selector).inner_text()
        check(test(text), f"{what}: {selector} says {text[:300]!r}")
        return text
    return soon(page, attempt)


def settled(page, look, what, quiet_ms=700):
    """What it was for a while."""
    def attempt():
        before = look()
        page.wait_for_timeout(quiet_ms)
        same(look(), before, f"{what}, a moment later")
        return before
    return soon(page, attempt)


def copied(page):
    return page.evaluate("navigator.clipboard.readText()")


def last_chart(page):
    check(page.watched.charts, "no chart was asked for")
    return page.watched.charts[-1]


def table(page, selector):
    """The cells of a table's body."""
    return page.eval_on_selector_all(f"{selector} tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))")


def asked(page):
    """Waits for the answer of Explore."""
    page.locator("#explore-state", has_text="answered").wait_for()
    page.locator("#explore-answer").wait_for()


def tab_to(page, selector, most=90):
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    check(False, f"the tab key does not reach {selector}")


def choose(page, typed, value):
    """Chooses in the list that has the focus, by the first letters."""
    def attempt():
        page.keyboard.type(typed)
        # "views and buys" begins as "views" does.
        if page.evaluate("document.activeElement.value") != value:
            page.keyboard.press("ArrowDown")
        chosen = page.evaluate("document.activeElement.value")
        if chosen != value:
            # Letters that come too slowly begin anew; so do these, a second later.
            page.wait_for_timeout(1200)
        same(chosen, value, f"what {typed!r} chooses")
    soon(page, attempt)


def escape(page):
    page.keyboard.press("Escape")
    page.locator("#dialog").wait_for(state="hidden")


def link(state):
    return "#explore?" + urllib.parse.urlencode(state)


def shown_value(value, column):
    if value is None:
        return "–"
    return f"{value:,.2f}" if column == "avg_price" else f"{value:,}"


def same_table(page, answer, grouped):
    """The table says what the function answers, row by row."""
    expected = []
    for row in answer["rows"]:
        names = [name if name else "(empty)" for name in row[1:1 + grouped]]
        numbers = [shown_value(*pair) for pair in zip(row[1 + grouped:], answer["columns"][1 + grouped:])]
        expected.append([row[0][:16].replace("T", " "), *names, *numbers])
    same_soon(page, lambda: table(page, "#explore-table tbody"), expected, "the table")


def chart_shown(page, selector):
    """Waits for the picture and gives its alternative text. A page that draws again puts another in its place at any time."""
    def attempt():
        found = page.eval_on_selector_all(f"{selector} img", "images => images.map(image => [image.complete, image.naturalWidth, image.clientWidth, image.alt])")
        same(len(found), 1, f"pictures in {selector}")
        complete, drawn, seen, alternative = found[0]
        check(complete and drawn >= 200 and seen > 0, f"the chart is no picture: {found[0]}")
        return alternative
    return soon(page, attempt)


def letter(world, number, reason):
    """Posts a dead letter as KafkaSource does: the event, and what is noted on it."""
    headers = {
        "ce-specversion": "1.0", "ce-id": f"letter-{number}", "ce-source": "/user-tags/walk", "ce-type": "com.allezon.user-tags",
        "content-type": "application/json", "ce-knativeerrordest": "http://profile-worker.test/", "ce-knativeerrorcode": "400", "ce-knativeerrordata": reason,
    }
    status, _, answer = world.allezon.ask("POST", "/dead_letters", json.dumps({"walk": number}), headers)
    check(status in (200, 202, 204), f"a dead letter is not taken: {status} {answer[:200]}")


# The paths

def serves(world):
    """The page's files: small, compressed, and allowed nothing but their own host."""
    total = 0
    for path in ["/console", *(f"/console/{file.name}" for file in PAGE.iterdir() if file.name != "console.html")]:
        status, headers, body = world.allezon.ask("GET", path, headers={"accept-encoding": "gzip"})
        same(status, 200, path)
        total += len(body)
        source = PAGE / (path.removeprefix("/console").strip("/") or "console.html")
        same(gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body, source.read_bytes(), f"what is served at {path}")
        check(headers.get("content-encoding") == "gzip" or len(body) < 1024, f"{path} is not compressed")
    check(total < MOST_COMPRESSED, f"{total} bytes")
    policy = world.allezon.ask("GET", "/console")[1]["content-security-policy"]
    for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob:", "connect-src 'self'", "frame-ancestors 'none'"]:
        check(part in policy.split("; "), f"the policy lacks {part}: {policy}")
    page = world.open()
    wait_text(page, "#now-state", lambda text: text == "live", "the first second")
    times = page.evaluate("(({ loadEventEnd, domContentLoadedEventEnd }) => [domContentLoadedEventEnd, loadEventEnd])(performance.getEntriesByType('navigation')[0])")
    return f"{total / 1024:.1f} KiB compressed; content after {times[0]:.0f} ms, loaded after {times[1]:.0f} ms"


def now(world):
    """Now: live figures, workers, the newest minutes, a pause."""
    page = world.open("#now")
    with world.allezon.traffic(20):
        for figure in ("tags", "queries"):
            wait_text(page, f"#now-{figure}", lambda text: re.fullmatch("[0-9,.]+", text) and float(text.replace(",", "")) > 0, f"{figure} a second")
        wait_text(page, "#now-visibility", lambda text: text.replace(",", "").isdigit(), "visibility")
        alternative = chart_shown(page, "#now-chart")
        check("tags and queries a second" in alternative, f"the chart's alternative text is {alternative!r}")
    def workers():
        found = [row[0] for row in table(page, "#now-workers")]
        check({"profile-worker", "aggregate-worker"} <= set(found), f"workers: {found}")
    soon(page, workers)
    soon(page, lambda: newest_minutes(world, page))
    chart_shown(page, "#minutes-chart")
    page.click("#now-pause")
    wait_text(page, "#now-state", lambda text: text == "paused", "the state")
    # A chart that was asked for just before may be heard of only now.
    def shown():
        return page.inner_text("#minutes-rows"), len(page.watched.charts)
    before = settled(page, shown, "what is shown in a pause")
    counted = world.allezon.explore(world.question())["rows"][0][1]
    world.allezon.send([world.tags[0] | {"time": utc(world.to - 120) + "Z", "cookie": "paused"}])
    eventually(lambda: same(world.allezon.explore(world.question())["rows"][0][1], counted + 1, "tags with the one of the pause"), page=page)
    page.wait_for_timeout(2500)
    same(shown(), before, "what is shown in a pause")
    page.click("#now-pause")
    wait_text(page, "#now-state", lambda text: text == "live", "after the pause")
    soon(page, lambda: newest_minutes(world, page))


def newest_minutes(world, page):
    """The table of minutes says what Explore answers for them."""
    rows = table(page, "#minutes-rows")
    check(len(rows) == 15, f"{len(rows)} minutes")
    for shown in rows[2:6]:
        minute = int(time.mktime(time.strptime(shown[0], "%Y-%m-%d %H:%M")) - time.timezone)
        question = {"time_range": f"{utc(minute)}_{utc(minute + 60)}", "aggregates": ["count", "sum_price"]}
        views, buys = (world.allezon.explore(question | {"action": action})["rows"][0] for action in ("VIEW", "BUY"))
        same(shown[1:], [f"{views[1]:,}", f"{buys[1]:,}", f"{buys[2]:,}"], f"the minute {shown[0]}")


def explore_by_keyboard(world):
    """Explore with the keyboard only; chart, table, CSV, link and curl agree with the function."""
    page = world.open("#now")
    tab_to(page, "nav a[data-view=explore]")
    page.keyboard.press("Enter")
    page.locator("#view-explore").wait_for()
    for field, minute in (("from", world.to - 3600), ("to", world.to)):
        tab_to(page, f"#explore-{field}")
        page.keyboard.press("Control+A")
        page.keyboard.type(world.shown(minute))
    tab_to(page, "#explore-step")
    choose(page, "10", "10")
    tab_to(page, "#explore-action")
    choose(page, "views", "VIEW")
    tab_to(page, "#explore-add")
    page.keyboard.press("Enter")
    same_soon(page, lambda: page.evaluate("document.activeElement.dataset.column !== undefined"), True, "focus on the new filter")
    choose(page, "country", "country")
    tab_to(page, "[data-value]")
    for country in ("PL", "SE", "CL"):
        page.keyboard.type(country)
        page.keyboard.press("Enter")
    tab_to(page, "#explore-by-1")
    choose(page, "brand", "brand_id")
    tab_to(page, "#explore-top")
    page.keyboard.type("4")
    for aggregate in ("sum_price", "avg_price"):
        tab_to(page, f"#explore-aggregates input[value={aggregate}]")
        page.keyboard.press("Space")
    tab_to(page, "#explore-form button.go")
    page.keyboard.press("Enter")
    asked(page)
    question = world.question(step_minutes=10, action="VIEW", filters={"country": {"in": ["PL", "SE", "CL"]}}, group_by=["brand_id"],
                              aggregates=["count", "sum_price", "avg_price"], top={"n": 4, "by": "count"})
    answer = world.allezon.explore(question)
    check(len(answer["rows"]) > 12, "the question has too small an answer to tell anything")
    same_table(page, answer, 1)
    wait_text(page, "#explore-told", lambda told: told.startswith(f"{answer['scanned_rows']:,} rows scanned in ") and told.endswith(" ms"), "what was told")
    drawn_as_answered(page, answer)
    same_csv(page, world, question)
    same_link(page, world, answer)
    same_curl(page, answer, question)


def drawn_as_answered(page, answer):
    alternative = chart_shown(page, "#explore-chart")
    points = {(name, f"{row[0][11:16]}"): row[2] for row in answer["rows"] for name in [row[1]]}
    def drawn():
        spec = last_chart(page)
        pairs = {(series["name"], label): value for series in spec["series"] for label, value in zip(spec["labels"], series["values"])}
        return {point: value for point, value in pairs.items() if value}
    same_soon(page, drawn, points, "what is drawn")
    (name, label), most = max(points.items(), key=lambda point: point[1])
    check(f"the highest {most:,}" in alternative, f"the alternative text lacks the highest, {most} of {name} at {label}: {alternative}")
    page.select_option("#explore-kind", "bar")
    same_soon(page, lambda: last_chart(page)["kind"], "bar", "the chart")
    page.select_option("#explore-draw", "sum_price")
    soon(page, lambda: check(last_chart(page)["series"][0]["values"][0] > 1000, "sums are not drawn"))
    soon(page, lambda: check("chart=bar&draw=sum_price" in page.url, f"the link lacks the chart: {page.url}"))


def same_csv(page, world, question):
    with page.expect_download() as download:
        page.click("#explore-csv")
    _, _, expected = world.allezon.ask("POST", "/explore", json.dumps(question), {"accept": "text/csv"})
    with open(download.value.path(), "rb") as file:
        same(file.read(), expected, "the CSV")
    rows = list(csv.reader(expected.decode().splitlines()))
    shown = [[cell.replace(",", "") for cell in row[:-1]] for row in table(page, "#explore-table tbody")]
    same(shown, [[row[0][:16].replace("T", " "), *row[1:-1]] for row in rows[1:]], "the table beside the CSV")


def same_link(page, world, answer):
    page.click("#explore-copy-link")
    same_soon(page, lambda: copied(page), page.url, "the copied link, the address")
    other = world.open(page.url.removeprefix(f"{world.allezon.origin}/console"))
    asked(other)
    same_table(other, answer, 1)
    same_soon(other, lambda: last_chart(other)["kind"], "bar", "the chart of the link")
    same_soon(other, lambda: other.evaluate("[...document.querySelectorAll('.chip bdi')].map(chip => chip.textContent)"), ["PL", "SE", "CL"], "the link's filter")


def same_curl(page, answer, question):
    page.click("#explore-copy-curl")
    command = page.inner_text("#explore-curl")
    same_soon(page, lambda: copied(page), command, "the copied curl")
    said = json.loads(subprocess.run(["sh", "-c", command], check=True, capture_output=True, timeout=30).stdout)
    same((said["columns"], said["rows"]), (answer["columns"], answer["rows"]), "what curl answers")


def explore_states(world):
    """Explore without an answer: a wrong question, an empty answer, too large a one, a cancelled one, one that another overtakes."""
    page = world.open("#explore")
    page.locator("#explore-none").wait_for()
    page.fill("#explore-from", "yesterday")
    page.click("#explore-form button.go")
    wait_text(page, "#explore-error", lambda text: "From is no minute" in text, "a wrong time")
    same_soon(page, lambda: page.get_attribute("#explore-from", "aria-invalid"), "true", "the field is marked")
    page.watched.forgive("status of 400", "status of 413")
    page.goto(f"{world.allezon.origin}/console{link({'from': world.shown(world.to - 60), 'to': world.shown(world.to), 'by': 'brand_id', 'top': 99999, 'top_by': 'count'})}")
    detail = json.loads(world.allezon.ask("POST", "/explore", json.dumps(world.question(group_by=["brand_id"], top={"n": 99999, "by": "count"})))[2])["detail"]
    wait_text(page, "#explore-error", lambda text: detail in text, "what the function says of a wrong question")
    same_soon(page, lambda: page.get_attribute("#explore-top", "aria-invalid"), "true", "the field is marked")
    page.goto(f"{world.allezon.origin}/console{link({'from': '1999-01-01T00:00', 'to': '1999-01-01T01:00', 'by': 'brand_id'})}")
    asked(page)
    wait_text(page, "#explore-table caption", lambda text: "No rows" in text, "an empty answer")
    wait_text(page, "#explore-drawn", lambda text: "Nothing to draw" in text, "an empty answer")
    # An answer that the function refuses as too large takes half a million groups; the function's own words, said at once.
    problem = {"type": "about:blank", "title": "Payload Too Large", "status": 413, "detail": "more than 524288 groups: filter more"}
    page.route("**/explore", lambda route: route.fulfill(status=413, content_type="application/problem+json", body=json.dumps(problem)))
    page.click("#explore-form button.go")
    wait_text(page, "#explore-error", lambda text: "too large" in text and problem["detail"] in text, "too large an answer")
    page.unroute("**/explore")
    # The first two are held to the end: without its route a question would be answered before it can be given up.
    held, failed = page.watched.held, []
    page.route("**/explore", lambda route: held.append(route) if len(held) < 2 else route.continue_())
    page.on("requestfailed", lambda request: request.url.endswith("/explore") and failed.append(request.url))
    page.click("#explore-form button.go")
    same_soon(page, lambda: len(held), 1, "questions in flight")
    page.click("#explore-cancel")
    wait_text(page, "#explore-state", lambda text: text == "cancelled", "a cancelled question")
    same_soon(page, lambda: len(failed), 1, "requests that were aborted")
    page.click("#explore-form button.go")
    same_soon(page, lambda: len(held), 2, "questions in flight")
    page.goto(f"{world.allezon.origin}/console{link({'from': world.shown(world.to - 3600), 'to': world.shown(world.to)})}")
    asked(page)
    same_soon(page, lambda: len(failed), 2, "requests that another overtook")
    same_table(page, world.allezon.explore(world.question()), 0)
    page.fill("#explore-to", "1999-01-01 00:00")
    def newest():
        page.click("button[data-newest='60']")
        # The page itself gives up after 3 s.
        eventually(lambda: check(page.input_value("#explore-to") >= world.shown(world.to), "the newest hour is not found"), 4, page)
    soon(page, newest)


def shopper(world):
    """Shopper: a time line of views and buys, filters, JSON."""
    page = world.open("#shopper")
    page.locator("#shopper-none").wait_for()
    page.fill("#shopper-cookie", "tom")
    page.fill("#shopper-from", world.shown(world.to - 3600))
    page.fill("#shopper-to", world.shown(world.to))
    page.keyboard.press("Enter")
    page.locator("#shopper-answer").wait_for()
    path = f"/user_profiles/tom?time_range={utc(world.to - 3600)}_{utc(world.to)}&limit=200"
    found = world.allezon.json("POST", path)
    check(len(found["views"]) > 30 and len(found["buys"]) > 1, f"tom did too little to tell anything: {len(found['views'])} views, {len(found['buys'])} buys")
    tags = sorted(found["views"] + found["buys"], key=lambda tag: tag["time"], reverse=True)
    same_line(page, tags)
    page.click("#shopper-copy")
    page.locator("#shopper-copy", has_text="Copied").wait_for()
    same_soon(page, lambda: json.loads(copied(page)), found, "the copied JSON")
    page.uncheck("#shopper-views")
    same_line(page, [tag for tag in tags if tag["action"] == "BUY"])
    page.check("#shopper-views")
    brand = tags[0]["product_info"]["brand_id"]
    option = page.locator("[data-filter=brand] option", has_text=brand).get_attribute("value")
    page.select_option("[data-filter=brand]", option)
    same_line(page, [tag for tag in tags if tag["product_info"]["brand_id"] == brand])
    country = next(tag["country"] for tag in tags if tag["product_info"]["brand_id"] == brand)
    page.select_option("[data-filter=country]", page.locator("[data-filter=country] option", has_text=country).get_attribute("value"))
    same_line(page, [tag for tag in tags if tag["product_info"]["brand_id"] == brand and tag["country"] == country])
    page.reload()
    page.locator("#shopper-answer").wait_for()
    same_line(page, tags)
    page.fill("#shopper-cookie", "nobody ever")
    page.click("#shopper-form button.go")
    wait_text(page, "#shopper-told", lambda text: "Nothing is known" in text, "an unknown cookie")


def same_line(page, tags):
    expected = [[tag["time"][11:-1], tag["action"].lower(), f"{tag['product_info']['price']:,}"] for tag in tags]
    shown = "items => items.map(item => [item.querySelector('time').textContent, item.querySelector('.mark').textContent, item.querySelector('.price').lastChild.textContent])"
    same_soon(page, lambda: page.eval_on_selector_all(".line li:not(.gap)", shown), expected, "the time line")


def hostile(world):
    """Hostile names are texts: on the time line, in tables, filters and charts."""
    page = world.open("#shopper?cookie=hostile")
    page.locator("#shopper-answer").wait_for()
    parts = (SCRIPT, IMAGE, "oakU+202Egnp.exeU+2069", "(empty)", "12345678901234567890")
    texts = wait_text(page, "#shopper-line", lambda text: all(part in text for part in parts), f"a time line with {parts}")
    check(len(texts) < 2_000, f"a time line of {len(texts)} characters")
    same(page.evaluate("document.querySelectorAll('main script, main img[onerror]').length"), 0, "elements out of names")
    same(page.evaluate("[...document.querySelectorAll('.line bdi')].every(name => getComputedStyle(name).unicodeBidi === 'isolate')"), True, "a direction of its own")
    page.click(".line .whole")
    same_soon(page, lambda: page.input_value("#dialog textarea"), LONG, "the whole text")
    page.keyboard.press("Escape")
    same_soon(page, lambda: page.evaluate("[document.getElementById('dialog').open, document.activeElement.matches('.whole')]"), [False, True], "the dialog is closed, focus is back")
    state = {"from": world.shown(world.to - 1860), "to": world.shown(world.to - 1620), "by": "category_id", "in.origin": SCRIPT}
    page = world.open(link(state))
    asked(page)
    same_soon(page, lambda: page.inner_text(".chip bdi"), SCRIPT, "a hostile filter")
    page = world.open(link({"from": world.shown(world.to - 3600), "to": world.shown(world.to), "by": "brand_id", "tell": "count"}))
    asked(page)
    chart_shown(page, "#explore-chart")
    rows = [row[1] for row in table(page, "#explore-table tbody")]
    check(SCRIPT in rows and "(empty)" in rows, f"the table: {rows}")
    check(any(row.startswith("LLLL") and len(row) < 200 for row in rows), "a long name is not cut")
    soon(page, lambda: check(all(len(label) < 64 for label in last_chart(page)["labels"]), "a chart with long names"))
    soon(page, lambda: narrow_enough(page, "the page with long names"))
    cookie = "../" + RTL_COOKIE
    world.allezon.send([world.tags[0] | {"cookie": cookie, "time": "2022-03-22T12:15:00Z"}])
    page = world.open("#shopper?" + urllib.parse.urlencode({"cookie": cookie}))
    soon(page, lambda: page.locator(".line li").count() or (page.click("#shopper-form button.go"), page.locator(".line li").first.wait_for(timeout=3000)))


RTL_COOKIE = "שופר/\u202e?x=1&y#z"


def erase(world):
    """A shopper is erased after the cookie was typed."""
    gone = "gone for ever?"
    world.allezon.send([world.tags[0] | {"cookie": gone, "time": "2022-03-22T12:15:00Z"}])
    path = f"/user_profiles/{urllib.parse.quote(gone, safe='')}?time_range=2022-03-22T12:00:00_2022-03-22T13:00:00"
    eventually(lambda: same(len(world.allezon.json("POST", path)["views"] + world.allezon.json("POST", path)["buys"]), 1, "tags"))
    page = world.open("#shopper?" + urllib.parse.urlencode({"cookie": gone}))
    page.locator(".line li").wait_for()
    page.click("#shopper-erase")
    same_soon(page, lambda: page.evaluate("document.activeElement.matches('#dialog input')"), True, "focus in the dialog")
    page.keyboard.type("gone")
    same_soon(page, lambda: page.input_value("#dialog input"), "gone", "what was typed")
    check(page.is_disabled("#dialog button.bad"), "half a cookie is enough")
    escape(page)
    same(len(world.allezon.json("POST", path)["views"] + world.allezon.json("POST", path)["buys"]), 1, "tags after Escape")
    page.click("#shopper-erase")
    same_soon(page, lambda: page.evaluate("document.activeElement.matches('#dialog input')"), True, "focus in the dialog")
    page.keyboard.type(gone)
    page.click("#dialog button.bad")
    wait_text(page, "#shopper-state", lambda text: text == "Erased.", "erased")
    found = world.allezon.json("POST", path)
    same((found["views"], found["buys"]), ([], []), "what is left")
    wait_text(page, "#shopper-told", lambda text: "Nothing is known" in text, "the page after it")


def functions(world):
    """Functions: what the console function tells, in a table."""
    page = world.open("#functions")
    page.locator("#functions-rows tr").first.wait_for()
    soon(page, lambda: functions_as_told(world, page))
    wait_text(page, "#functions-caption", lambda text: "in one process" in text, "where they run")
    # What only a cluster tells.
    many = {"where": "cluster", "functions": [{
        "name": "sealer", "revision": "sealer-00002", "ready": False, "reason": SCRIPT, "instances": 1, "wanted": 2,
        "scale": {"min": 0, "max": 5, "metric": "rps", "target": 700}, "errors": [{"at": "2026-11-22T07:00:00Z", "what": f"error {n}"} for n in range(5)]}]}
    page.route("**/console/functions", lambda route: route.fulfill(json=many))
    page.click("#functions-again")
    wait_text(page, "#functions-rows", lambda text: "1 of 2" in text and "0 to 5, 700 rps each" in text and "error 2" in text and "and 2 more" in text and SCRIPT in text, "a cluster's functions")


def functions_as_told(world, page):
    page.click("#functions-again")
    page.locator("#functions-state", has_text="asked at").wait_for()
    told, rows = world.allezon.json("GET", "/console/functions"), table(page, "#functions-rows")
    same([row[0] for row in rows], [each["name"] for each in told["functions"]], "the functions")
    same([row[2] for row in rows], [str(each["instances"]) for each in told["functions"]], "their instances")
    check(len(told["functions"]) >= 8 and all(row[1].startswith("ready") for row in rows), f"not all are ready: {rows}")


def letters(world):
    """Dead letters: none, then counts and reasons, a look, a replay of one and of all, each after a question."""
    page = world.open("#letters")
    if world.allezon.json("GET", "/dead_letters")["letters"] == 0:
        page.locator("#letters-none").wait_for()
        check(page.is_disabled("#letters-all"), "nothing can be replayed")
    before = world.allezon.json("GET", "/dead_letters")["not_sent_back"]
    for number in range(5):
        letter(world, number, f"no batch: {SCRIPT}" if number % 2 else "an unknown version")
    told = soon(page, lambda: letters_as_told(world, page, before + 5))
    page.locator("#letters-rows button", has_text="Look").first.click()
    parts = (told["newest"][0]["id"], "/user-tags/walk", "com.allezon.user-tags", "http://profile-worker.test/", "400", "an unknown version")
    wait_text(page, "#dialog", lambda text: all(part in text for part in parts), f"a look with {parts}")
    escape(page)
    sent = []
    page.on("request", lambda request: "/replay" in request.url and sent.append(request.url.split("/replay")[1]))
    page.locator("#letters-rows button", has_text="Replay").first.click()
    page.locator("#dialog-actions button", has_text="Cancel").click()
    page.locator("#dialog").wait_for(state="hidden")
    page.wait_for_timeout(500)
    same(sent, [], "what was sent after Cancel")
    page.locator("#letters-rows button", has_text="Replay").first.click()
    page.locator("#dialog-actions button", has_text="Replay this letter").click()
    wait_text(page, "#letters-done", lambda text: "1 letter went back" in text, "one replayed")
    newest = told["newest"][0]
    same_soon(page, lambda: sent, [f"?partition={newest['partition']}&position={newest['position']}"], "what was sent")
    # Its cause is still there: each worker puts it aside again, by itself.
    soon(page, lambda: check(world.allezon.json("GET", "/dead_letters")["letters"] >= told["letters"] + 2, "the workers have not seen it again"))
    def counted():
        waiting = settled(page, lambda: world.allezon.json("POST", "/replay?dry_run=true")["sent"], "letters that would go back")
        sent.clear()
        page.click("#letters-all")
        text = wait_text(page, "#dialog", lambda text: "will go back" in text, "the question before a replay of all")
        if f"{waiting} letters will go back" not in text:
            escape(page)
            check(False, f"{waiting} letters would go back, and the page says {text!r}")
        return waiting
    waiting = soon(page, counted)
    same_soon(page, lambda: sent, ["?dry_run=true"], "what was sent before the confirmation")
    page.locator("#dialog-actions button", has_text=f"Replay {waiting} letters").click()
    wait_text(page, "#letters-done", lambda text: f"{waiting} letters went back" in text, "all replayed")


def letters_as_told(world, page, waiting):
    page.click("#letters-again")
    page.locator("#letters-state", has_text="asked at").wait_for()
    told = world.allezon.json("GET", "/dead_letters")
    same(told["not_sent_back"], waiting, "letters that wait")
    same(page.inner_text("#letters-waiting"), str(told["not_sent_back"]), "the count")
    same(len(table(page, "#letters-rows")), told["letters"], "the rows")
    reasons = {row[1]: row[2] for row in table(page, "#letters-why")}
    check(f"no batch: {SCRIPT}" in reasons and "an unknown version" in reasons, f"reasons: {reasons}")
    return told


def looks(world, theme, width):
    """One theme at one width: no side scroll, nothing blue, nothing that axe finds, focus always seen."""
    if not world.allezon.json("GET", "/dead_letters")["letters"]:
        letter(world, 9, "has no name")
    page = world.open("#now", theme=theme, width=width, height=800)
    for tab in TABS:
        prepare(world, page, tab)
        same_soon(page, page.title, f"{TITLES[tab]} · Allezon console", "the title")
        same_soon(page, lambda: page.get_attribute(f"nav a[data-view={tab}]", "aria-current"), "page", "the present tab")
        fits(page, tab)
        same_soon(page, lambda: page.evaluate(BLUE)[:5], [], f"blue on {tab}")
        drawn = [colour for svg in page.watched.drawn for colour in re.findall("#[0-9a-fA-F]{6}", text_of(svg)) if is_bluish(colour)]
        check(not drawn, f"blue in a chart of {tab}: {sorted(set(drawn))}")
        def few_blue_pixels():
            pixels = blue_pixels(world, page)
            check(pixels < 20, f"{pixels} blue pixels on {tab}")
        soon(page, few_blue_pixels)
        same_soon(page, lambda: page.evaluate(UNFOCUSED)[:5], [], f"where focus is not seen on {tab}")
        for opener in DIALOGS.get(tab, []):
            page.locator(opener).first.click()
            page.locator("#dialog").wait_for()
            fits(page, f"{tab} with a dialog")
            escape(page)


DIALOGS = {"shopper": ["#shopper-erase", ".line .whole"], "letters": ["#letters-all:enabled, #letters-rows button", "#letters-rows button"]}


def is_bluish(colour):
    """Of a chart's few colours, also weak ones: a grid of bluish grey among wood."""
    red, green, blue = (int(colour[n:n + 2], 16) for n in (1, 3, 5))
    return blue > max(red, green) + 4


def fits(page, what):
    """No side scroll, and nothing that axe finds."""
    soon(page, lambda: narrow_enough(page, what))
    def axe():
        found = Axe().run(page, options=RULES).response["violations"]
        told = (f"{one['id']}: {one['nodes'][0]['html'][:160]} {one['nodes'][0]['failureSummary'][:200]}" for one in found)
        check(not found, f"axe, {what}: " + "; ".join(told))
    soon(page, axe)


def narrow_enough(page, what):
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    check(wide <= 0, f"{what} is {wide} px too wide")


def prepare(world, page, tab):
    """A tab with something on it."""
    hashes = {"explore": link({"from": world.shown(world.to - 3600), "to": world.shown(world.to), "step": 10, "by": "brand_id", "top": 5, "top_by": "count", "in.country": "PL"}),
              "shopper": "#shopper?cookie=hostile"}
    page.evaluate("hash => { location.hash = hash; }", hashes.get(tab, f"#{tab}"))
    if tab == "now":
        wait_text(page, "#now-state", lambda text: text == "live", "now")
        page.locator("#minutes-chart img").wait_for()
    if tab == "explore":
        page.locator("#explore-chart img").wait_for()
    if tab == "shopper":
        page.locator(".line li").first.wait_for()
    if tab == "functions":
        page.locator("#functions-rows tr").first.wait_for()
    if tab == "letters":
        page.locator("#letters-rows tr, #letters-none:not([hidden])").first.wait_for()


# Of a colour with some strength, those between cyan and violet.
IS_BLUE = """([r, g, b]) => {
  const most = Math.max(r, g, b), least = Math.min(r, g, b), range = most - least;
  if (range < 24 || range / (most || 1) < .2) return false;
  const hue = 60 * (most === r ? ((g - b) / range + 6) % 6 : most === g ? (b - r) / range + 2 : (r - g) / range + 4);
  return hue >= 170 && hue <= 300;
}"""
BLUE = f"""() => {{
  const isBlue = {IS_BLUE}, found = [];
  const properties = ['color', 'backgroundColor', 'borderTopColor', 'borderBottomColor', 'outlineColor', 'caretColor', 'fill', 'stroke', 'textDecorationColor', 'boxShadow', 'backgroundImage', 'accentColor'];
  for (const element of document.querySelectorAll('*')) for (const pseudo of [null, '::before', '::after', '::selection', '::placeholder', '::backdrop']) {{
    const style = getComputedStyle(element, pseudo);
    for (const property of properties) for (const [, ...rgb] of (style[property] ?? '').matchAll(/rgba?\\((\\d+), (\\d+), (\\d+)(?!, 0\\))/g)) {{
      if (isBlue(rgb.map(Number))) found.push(`${{element.tagName}}${{element.id ? '#' + element.id : ''}}${{pseudo ?? ''}} ${{property}} ${{style[property]}}`);
    }}
  }}
  return found;
}}"""
UNFOCUSED = """() => [...document.querySelectorAll('a, button, input, select, [tabindex="0"]')].filter((element) => element.checkVisibility() && !element.disabled).filter((element) => {
  element.focus({ focusVisible: true, preventScroll: true });
  const style = getComputedStyle(element);
  return document.activeElement === element && (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2);
}).map((element) => element.outerHTML.slice(0, 90))"""
PIXELS = f"""async (png) => {{
  const isBlue = {IS_BLUE}, image = new Image();
  image.src = `data:image/png;base64,${{png}}`;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height), context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const {{ data }} = context.getImageData(0, 0, image.width, image.height);
  let blue = 0;
  for (let at = 0; at < data.length; at += 4) blue += isBlue([data[at], data[at + 1], data[at + 2]]);
  return blue;
}}"""


def blue_pixels(world, page):
    """Counts in a picture of the page: charts and the browser's own controls, too."""
    import base64
    picture = base64.b64encode(page.screenshot(full_page=True)).decode()
    context = world.browser.new_context()
    try:
        return context.new_page().evaluate(PIXELS, picture)
    finally:
        context.close()


def light(world):
    """Light, 1280 px: axe, colours, width, focus on every tab."""
    looks(world, "light", 1280)


def dark(world):
    """Dark, 1280 px: the same."""
    looks(world, "dark", 1280)


def light_narrow(world):
    """Light, 360 px: the same."""
    looks(world, "light", 360)


def dark_narrow(world):
    """Dark, 360 px: the same."""
    looks(world, "dark", 360)


def theme(world):
    """The theme is chosen, kept, and charts follow it; motion is left out for who wants none."""
    page = world.open("#now", theme="light", reduced_motion="reduce")
    def ground():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#minutes-chart img").wait_for()
    bright = ground()
    same_soon(page, lambda: page.evaluate("document.querySelector('.state[data-state=live]') && getComputedStyle(document.querySelector('.state[data-state=live]'), '::before').animationName"), "none", "motion")
    page.select_option("#theme", "dark")
    soon(page, lambda: check(ground() != bright, "nothing got dark"))
    night = settled(page, ground, "the ground in the dark")
    same_soon(page, lambda: last_chart(page)["theme"], "dark", "the chart's theme")
    page.reload()
    same_soon(page, ground, night, "after a reload")
    page.select_option("#theme", "")
    same_soon(page, ground, bright, "the system's theme")
    page.emulate_media(color_scheme="dark")
    same_soon(page, ground, night, "when the system turns dark")
    page.evaluate("hash => { location.hash = hash; }", link({"from": world.shown(world.to - 3600), "to": world.shown(world.to), "step": 10}))
    chart_shown(page, "#explore-chart")
    # What Now has under way is over.
    settled(page, lambda: len(page.watched.charts), "charts that were asked for")
    page.watched.charts.clear()
    page.set_viewport_size({"width": 700, "height": 800})
    soon(page, lambda: check(last_chart(page)["width"] < 700, "the chart does not follow the width"))


def keyboard(world):
    """Skip link, tabs and dialogs by keyboard."""
    page = world.open("#functions")
    page.keyboard.press("Tab")
    same(page.evaluate("document.activeElement.id"), "skip", "the first stop")
    soon(page, lambda: check(page.evaluate("document.activeElement.getBoundingClientRect().top >= 0"), "the skip link is not seen"))
    page.keyboard.press("Enter")
    same_soon(page, lambda: page.evaluate("document.activeElement.id"), "main", "after the skip link")
    # The address is told a moment later.
    page.wait_for_timeout(300)
    same(urllib.parse.urlparse(page.url).fragment, "functions", "the tab after the skip link")
    for tab in TABS:
        page.reload()
        tab_to(page, f"nav a[data-view={tab}]")
        page.keyboard.press("Enter")
        page.locator(f"#view-{tab}").wait_for()
    page.go_back()
    page.locator("#view-functions").wait_for()


def lost(world):
    """The server goes and comes back; the page says both and goes on by itself."""
    page = world.open("#now")
    page.watched.forgive("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "net::ERR_")
    wait_text(page, "#now-state", lambda text: text == "live", "before")
    rows = 15
    same_soon(page, page.locator("#minutes-rows tr").count, rows, "minutes")
    world.allezon.stop()
    wait_text(page, "#now-state", lambda text: "lost" in text, "without a server")
    same(page.locator("#minutes-rows tr").count(), rows, "minutes that stay")
    page.evaluate("location.hash = 'letters'")
    wait_text(page, "#letters-error", lambda text: "does not answer" in text, "another tab without a server")
    page.evaluate("location.hash = 'now'")
    world.allezon.start()
    wait_text(page, "#now-state", lambda text: text == "live", "with a server again")
    wait_text(page, "#minutes-state", lambda text: text == "live", "with a server again")
    page.locator("#now-error").wait_for(state="hidden")


def staff(world):
    """With a staff file: nothing without a name, everything with one, streams and curl as well."""
    with contextlib.ExitStack() as stack:
        guarded = Allezon()
        stack.callback(guarded.remove)
        file = guarded.home / "staff"
        file.write_text("ada:correct-horse-battery\n")
        guarded.flags = ["--staff-file", str(file)]
        guarded.start()
        same(guarded.ask("GET", "/console")[0], 401, "without a name")
        page = world.open("#now", origin=guarded.origin, http_credentials={"username": "ada", "password": "correct-horse-battery"})
        wait_text(page, "#now-state", lambda text: text == "live", "the stream with a name")
        page.evaluate("hash => { location.hash = hash; }", link({"from": "2022-03-22T12:00", "to": "2022-03-22T13:00"}))
        asked(page)
        command = page.inner_text("#explore-curl").replace("curl -s", "curl -s -u ada:correct-horse-battery")
        said = subprocess.run(["sh", "-c", command], check=True, capture_output=True, timeout=30).stdout
        same(json.loads(said)["columns"], ["bucket", "count"], "curl with -u")


PATHS = [serves, now, explore_by_keyboard, explore_states, shopper, hostile, erase, functions, letters, light, dark, light_narrow, dark_narrow, theme, keyboard, lost, staff]
