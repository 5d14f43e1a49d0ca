// Package amqp delivers messages to RabbitMQ over AMQP 0-9-1, and takes the acknowledgements that
// consumers send as replies.
package amqp
