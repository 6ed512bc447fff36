#!/usr/bin/env python3
"""The question of `minute.rs`, asked of ClickHouse in this process (pip install chdb): ten minutes of 60,000 tags each, one
action, count and sum of the price for each minute, warm. Prints bytes a tag, and the median and worst of 50 questions."""

import statistics
import tempfile
import time

from chdb import session

MINUTES, TAGS_A_MINUTE, QUESTIONS = 60, 60_000, 50
BEGIN = "toDateTime64('2022-03-01 00:00:00', 3)"
FILTERS = {
    "none": "1",
    "origin": "origin = 'ORIGIN_17'",
    "origin, brand": "origin = 'ORIGIN_17' AND brand = 'BRAND_3'",
    "brand": "brand = 'BRAND_3'",
    "category": "category = 'CATEGORY_5'",
}
NAME = "LowCardinality(String) CODEC(ZSTD(3))"


def fill(db):
    db.query("CREATE DATABASE bench")
    db.query(
        f"CREATE TABLE bench.tags (minute DateTime CODEC(DoubleDelta, ZSTD(3)), action {NAME}, origin {NAME}, brand {NAME},"
        f" category {NAME}, price Int32 CODEC(T64, ZSTD(3)))"
        " ENGINE = MergeTree ORDER BY (minute, action, origin, brand, category)"
    )
    db.query(
        f"INSERT INTO bench.tags SELECT toStartOfMinute({BEGIN} + number / 1000), if(rand(1) % 10 = 0, 'BUY', 'VIEW'),"
        " 'ORIGIN_' || toString(rand(2) % 1000), 'BRAND_' || toString(rand(3) % 250),"
        f" 'CATEGORY_' || toString(rand(4) % 67), rand(5) % 100000 FROM numbers({MINUTES * TAGS_A_MINUTE})"
    )
    db.query("OPTIMIZE TABLE bench.tags FINAL")


def ask(db, condition):
    for question in range(QUESTIONS + 5):
        begin = f"toDateTime({BEGIN}) + {60 * (question % (MINUTES - 10))}"
        started = time.perf_counter()
        db.query(
            "SELECT minute, count(), sum(price) FROM bench.tags"
            f" WHERE minute >= {begin} AND minute < {begin} + 600 AND action = 'VIEW' AND {condition}"
            " GROUP BY minute ORDER BY minute"
        )
        # The first five warm it up.
        if question >= 5:
            yield (time.perf_counter() - started) * 1000


def main():
    with tempfile.TemporaryDirectory() as folder:
        db = session.Session(folder)
        fill(db)
        size = db.query(
            "SELECT sum(column_data_compressed_bytes) FROM system.parts_columns"
            " WHERE active AND database = 'bench' AND table = 'tags'"
        )
        print(f"bytes a tag: {int(str(size).strip()) / (MINUTES * TAGS_A_MINUTE):.2f}")
        for name, condition in FILTERS.items():
            times = list(ask(db, condition))
            print(f"filter {name}: median {statistics.median(times):.2f} ms, worst {max(times):.2f} ms")


if __name__ == "__main__":
    main()
