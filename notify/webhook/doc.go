// Package webhook delivers messages to HTTP endpoints by POST: CloudEvents 1.0 in binary mode,
// signed as Standard Webhooks 1.0.0 has it. It also takes the acknowledgements that consumers post.
package webhook
