"""Takes the pictures of docs/: the page as a person sees it, with an hour of tags and a minute of traffic."""
import io
import math
import pathlib
import random
import time

from paths import chart_shown, letter, link, wait_text
from world import tag_at

DOCS = pathlib.Path(__file__).resolve().parents[4] / "docs"
SIZE = {"width": 1200, "height": 860}
# The chart of Now shows a minute at least.
TRAFFIC_S = 62
MOST_BYTES = 120 * 1024
# More than the page has, as charts have soft edges.
COLOURS = 128
TAGS_A_SECOND = 4


def take(world):
    DOCS.mkdir(exist_ok=True)
    chance = random.Random(5)
    shop_hour = [time.time() - second for second in range(3600) for _ in range(max(0, round(chance.gauss(TAGS_A_SECOND + math.sin(second / 500), 1))))]
    world.allezon.send([tag_at(chance, at) for at in shop_hour])
    for number in range(4):
        letter(world, number, "data: is of version 9, which is newer than this worker" if number % 2 else "data.tags[3].time: is missing")
    state = {"from": world.shown(world.to - 3600), "to": world.shown(world.to), "step": 5, "action": "VIEW", "by": "brand_id", "tell": "count", "top": 5, "top_by": "count", "in.country": "PL"}
    with world.allezon.traffic(TAGS_A_SECOND / 2):
        pages = {theme: world.open("#now", theme=theme, **SIZE) for theme in ("light", "dark")}
        pages["light"].wait_for_timeout(TRAFFIC_S * 1000)
        for theme, page in pages.items():
            page.bring_to_front()
            wait_text(page, "#now-state", lambda text: text == "live", "now")
            page.wait_for_timeout(6000)
            chart_shown(page, "#now-chart")
            save(page, f"now-{theme}")
    for theme in ("light", "dark"):
        page = world.open(link(state), theme=theme, **SIZE)
        chart_shown(page, "#explore-chart")
        save(page, f"explore-{theme}")
    page = world.open("#shopper?cookie=tom", **SIZE)
    page.locator(".line li").first.wait_for()
    save(page, "shopper")
    page = world.open("#letters", **SIZE)
    page.locator("#letters-rows tr").first.wait_for()
    save(page, "letters")
    return 0


def save(page, name):
    # Nothing else wants it.
    from PIL import Image
    file = DOCS / f"console-{name}.png"
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    picture.convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(file, optimize=True)
    size = file.stat().st_size
    print(f"{file.relative_to(DOCS.parent)}: {size / 1024:.0f} KiB" + (", too large" if size > MOST_BYTES else ""))
