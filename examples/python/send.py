#!/usr/bin/python3
"""Takes an order and says so: one row in our own table and one in relay.outbox, in one
transaction. Either both are there afterwards, or neither.

    DATABASE_URL=postgres://app:secret@localhost/shop ./send.py Ada 4200
    … ./send.py --roll-back Ada 4200   as above, but changes its mind: nothing is sent
"""

import argparse
import json
import os

import psycopg2


def take_order(connection, customer, cents):
    """Inserts the order and its message and returns the message's id. Does not commit."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into orders (customer, cents) values (%s, %s) returning id",
            (customer, cents),
        )
        order = cursor.fetchone()[0]
        payload = json.dumps({"order": order, "customer": customer, "cents": cents})
        cursor.execute(
            "insert into relay.outbox (topic, key, payload) values (%s, %s, %s) returning id",
            ("order.created", f"order-{order}", payload),
        )
        return cursor.fetchone()[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--roll-back", action="store_true", help="change one's mind")
    parser.add_argument("customer")
    parser.add_argument("cents", type=int)
    args = parser.parse_args()

    # psycopg2 begins a transaction with the first statement. Closing the connection
    # without a commit, for instance after an exception, rolls it back.
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    try:
        message = take_order(connection, args.customer, args.cents)
        if args.roll_back:
            connection.rollback()
            print("rolled back", message)
        else:
            connection.commit()
            print("committed", message)
    finally:
        connection.close()


if __name__ == "__main__":
    main()
