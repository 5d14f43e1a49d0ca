package test

import (
	"slices"
	"strings"
	"testing"
)

// latinWords finds the words of Latin letters that a person reads, or hears, on a page: each with the text around it.
// Code, commands, identifiers and what the relay says in its own words are no part of the language of the page.
const latinWords = `(() => {
	const aside = "pre, code, kbd, textarea, .mono, [lang=en], .lang, script, style, option[value]";
	const found = [];
	const ids = /\b[0-9a-f]{8}-[0-9a-f-]{27}\b/g;
	const read = (text, where) => { for (const [word] of text.replace(ids, "").matchAll(/[A-Za-z][A-Za-z'’]+/g)) found.push([word, text.trim().slice(0, 160), where]); };
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let node = walk.nextNode(); node; node = walk.nextNode()) {
		const holder = node.parentElement;
		if (!holder.closest(aside) && holder.checkVisibility({ contentVisibilityAuto: true })) read(node.data, "text");
	}
	for (const name of ["aria-label", "title", "placeholder", "alt"]) {
		for (const one of document.querySelectorAll("[" + name + "]")) if (!one.closest(aside)) read(one.getAttribute(name), name);
	}
	read(document.title, "title of the page");
	return found;
})()`

// latinAllowed are names: of the product and of protocols, of units, of what a person types, and what the fixture calls
// its own things.
var latinAllowed = strings.Fields(`
	relay devel Ada RabbitMQ PostgreSQL JSON HTTP HTTPS TLS URL SQL API INSERT curl webhook id ms kB MB GB oid URI
	RELAY_ADMIN_TOKEN RELAY ADMIN VIEWER TOKEN RETENTION DEFAULT DESTINATION SOURCE MAX PAYLOAD BACKOFF HIDE PAYLOADS
	shop stock billing warehouse everyone archive direct default customer order created invoice issued changed lost later
	relay_test application json example nowhere ftp com none topic to
	session signin https amqp`)

// englishLeft returns what is left of another language on a page in Chinese. The given texts are data: errors that were
// stored as they happened.
func (b *browser) englishLeft(data []string) (left []string) {
	b.t.Helper()
	evaluate[bool](b, drawn)
	for _, found := range evaluate[[][]string](b, latinWords) {
		word, text, where := found[0], found[1], found[2]
		if slices.Contains(latinAllowed, word) || slices.ContainsFunc(data, func(one string) bool { return strings.Contains(text, one) || strings.Contains(one, text) }) {
			continue
		}
		left = append(left, word+" ("+where+": "+text+")")
	}
	return left
}

// errors are the errors that stand in the tables, and the names that tests make anew each time.
func (s *system) errors(t testing.TB) []string {
	t.Helper()
	return strings.Split(s.text(t, `select coalesce(string_agg(distinct left(error, 160), e'\x1f'), '') from (
		select last_error from relay.delivery union all select last_error from relay.outbox union all select error from relay.attempt
		union all select name from relay.instance union all select current_database() union all select split_part(target, '?', 1) from relay.subscription) x(error)
		where error <> ''`), "\x1f")
}
