"""Inserts a message in the way of docs/orms.md, and then in the way that it warns of."""

import json
import os

import psycopg2

db = psycopg2.connect(os.environ["DATABASE_URL"])
db.autocommit = True
with db.cursor() as cursor:
    cursor.execute(
        "insert into relay.outbox (topic, key, payload, headers) values (%s, %s, %s, %s) returning id",
        ("order.created", "order-7", json.dumps({"order": 7}), json.dumps({"tenant": "acme"})),
    )
    print("inserted", cursor.fetchone()[0])
    try:
        cursor.execute("insert into relay.outbox (topic) values ('order.created') returning *")
        print("inserted", cursor.fetchone()[0])
    except psycopg2.Error as error:
        print("refused:", error.pgerror.splitlines()[0])
