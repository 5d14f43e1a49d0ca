#!/usr/bin/python3
"""Receives messages of the relay from a queue of RabbitMQ: does its work, and acks when that
is committed.

    DATABASE_URL=postgres://app:secret@localhost/shop AMQP_URL=amqp://app:secret@localhost/ \
        ./consume.py orders warehouse

RabbitMQ gives a message that was not acked to the next consumer, with the same id. The
program ends when the broker is lost; what starts it should start it again.
"""

import os
import sys
import uuid

import pika
import psycopg2

if len(sys.argv) != 3:
    sys.exit("usage: consume.py QUEUE CONSUMER")
QUEUE, CONSUMER = sys.argv[1:]  # the consumer is the name of this service, and of no other
PREFETCH = 10  # messages that the broker sends ahead of the acks
PAUSE = 1  # seconds before a message whose work failed goes back


def work(message_id, body):
    """Does what the message asks for, and remembers its id in the same transaction: what
    was done once is not done again."""
    connection = psycopg2.connect(os.environ["DATABASE_URL"])  # in earnest: from a pool
    try:
        with connection, connection.cursor() as cursor:  # commits, or rolls back
            cursor.execute("select relay.receive(%s, %s)", (CONSUMER, message_id))
            if cursor.fetchone()[0]:
                cursor.execute(
                    "insert into shipment (message_id, what) values (%s, %s)",
                    (message_id, body.decode()),
                )
    finally:
        connection.close()


def is_uuid(text):
    try:
        uuid.UUID(text)
    except (TypeError, ValueError):
        return False
    return True


def handle(channel, tag, message_id, body):
    """Works on one message and tells the broker what became of it."""
    if not is_uuid(message_id):
        print(f"message {message_id!r} is not the relay's", file=sys.stderr)
        channel.basic_reject(tag, requeue=False)  # for good
        return
    try:
        work(message_id, body)
    except Exception as error:
        print(f"message {message_id}: {error}", file=sys.stderr)
        channel.connection.sleep(PAUSE)
        channel.basic_nack(tag, requeue=True)  # it comes again
    else:
        channel.basic_ack(tag)


def main():
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    # As the relay declares the queue of amqp:/<queue>, so that either may be there first.
    channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    channel.basic_qos(prefetch_count=PREFETCH)
    for method, properties, body in channel.consume(QUEUE):
        handle(channel, method.delivery_tag, properties.message_id, body)


if __name__ == "__main__":
    main()
