package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"relay/operate"
)

// TestEveryOperationAnswersAsTheDocumentSays runs each operation on data, in an order in which each has something to
// do.
func TestEveryOperationAnswersAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	f, pool := withData(t, Config{Settings: Settings{Source: "billing", Database: "shop", Capture: "stream", BackoffMS: []int64{}}, Process: stillProcess{}})
	fill(t, pool)
	seen := map[string]bool{}
	step := func(op, method, path string, body any, status int, header ...string) answer {
		t.Helper()
		seen[op] = true
		got := f.do(method, path, body, header...)
		if got.status != status {
			t.Errorf("%s: %s %s: status %d, want %d: %s", op, method, path, got.status, status, got.body)
		}
		return got
	}
	get := func(op, path string) answer { t.Helper(); return step(op, "GET", path, nil, 200) }
	post := func(op, path string, body any, status int) answer {
		t.Helper()
		return step(op, "POST", path, body, status)
	}

	get("get-openapi", "/openapi.json")
	get("get-session", "/session")
	get("get-settings", "/settings")
	get("get-overview", "/overview")
	get("get-pulse", "/pulse?subscription=stock&from=2h")
	get("list-messages", "/messages?topic=order.%23&limit=3")
	get("count-messages", "/messages/count?status=dead,open")
	get("get-message", "/messages/"+idDead)
	get("get-payload", "/messages/"+idPending+"/payload")
	get("list-deliveries", "/subscriptions/stock/deliveries?stage=handle_failed")
	get("list-instances", "/subscriptions/stock/instances")
	get("list-subscriptions", "/subscriptions")
	get("list-keys", "/keys")
	get("list-failures", "/failures?state=dead")
	get("list-failures", "/failures?state=rejected")
	get("list-failures", "/failures?state=failing")
	get("get-failure", "/failures/sample?subscription=stock&cause=http%20500")
	step("set-note", "PUT", "/failures/note", NewNote{Subscription: "stock", Cause: "http 500", Text: "looking"}, 200)
	get("list-senders", "/senders")
	get("get-sender", "/senders/shop")
	tag := get("get-subscription", "/subscriptions/stock").header.Get("ETag")
	step("put-subscription", "PUT", "/subscriptions/stock", SubscriptionSettings{Topics: []string{"order.#"}, OnDead: "block"}, 200, "If-Match", tag)
	step("put-subscription", "PUT", "/subscriptions/mail", SubscriptionSettings{Topics: []string{"mail.*"}, Target: "http://mail.example/"}, 201)
	post("pause-subscription", "/subscriptions/mail/pause", nil, 200)
	post("resume-subscription", "/subscriptions/mail/resume", Because{Reason: "mended"}, 200)
	post("test-subscription", "/subscriptions/mail/test", nil, 202)
	step("delete-subscription", "DELETE", "/subscriptions/mail", nil, 200, "If-Match", "*")
	post("retry-keys", "/keys/retry", ChangeKeys{Subscription: "stock", Keys: []string{"none"}}, 200)
	post("skip-keys", "/keys/skip", ChangeKeys{Subscription: "stock", Keys: []string{"k"}}, 200)
	post("acknowledge-deliveries", "/deliveries/acknowledge", Acknowledge{Subscription: "stock", IDs: []string{idAwaiting}}, 200)
	post("retry-deliveries", "/deliveries/retry", ChangeDeliveries{Subscription: "stock", IDs: []string{idDead, idNone}}, 200)
	post("cancel-deliveries", "/deliveries/cancel", ChangeDeliveries{Subscription: "stock", IDs: []string{idBehindKey}}, 200)
	post("insert-message", "/messages", NewMessage{Topic: "order.created", Payload: new(`{"a":8}`)}, 201)
	post("copy-message", "/messages/"+idDone+"/copy", nil, 201)
	post("retry-message", "/messages/"+idRejected+"/retry", nil, 200)
	post("cancel-message", "/messages/"+idPending+"/cancel", Change{Reason: "a mistake"}, 200)
	post("retry-messages", "/messages/retry", map[string]any{"ids": []string{idDone, idNone}}, 200)
	post("cancel-messages", "/messages/cancel", map[string]any{"ids": []string{idDone}}, 200)
	post("start-job", "/jobs?preview=true", NewJob{Kind: "retry", Filter: Filter{Status: []string{"dead"}}}, 200)
	var made JobAnswer
	post("start-job", "/jobs", NewJob{Kind: "retry", Filter: Filter{Status: []string{"dead"}, Since: "1h"}}, 201).into(t, 201, &made)
	job := "/jobs/" + made.Job.ID
	get("list-jobs", "/jobs")
	get("get-job", job)
	post("set-job-rate", job+"/rate", Rate{Rate: 5}, 200)
	post("stop-job", job+"/stop", nil, 200)
	post("resume-job", job+"/resume", Resume{}, 200)
	get("list-job-results", job+"/results?failed=true")
	get("list-audit", "/audit?object_kind=subscription")
	post("make-link", "/signin/links", nil, 201)
	post("sign-in", "/signin", SignIn{Token: adminToken}, 200)
	post("sign-out", "/signout", nil, 200)
	for op := range roles {
		if !seen[op] {
			t.Errorf("%s was not tried", op)
		}
	}
}

// stillProcess is a process in which nothing happens.
type stillProcess struct{}

func (stillProcess) Live() operate.Live {
	return operate.Live{Conditions: []operate.Condition{{Name: "database", Well: true, Decides: true, State: operate.StateAnswers, Text: "answers"}, {Name: "stream", State: operate.StateNoStream, Text: "the slot is gone"}}}
}

// TestSecretsAreInNoAnswer looks for what is secret in everything that can be read.
func TestSecretsAreInNoAnswer(t *testing.T) {
	t.Parallel()
	f, pool := withData(t, Config{Process: stillProcess{}})
	fill(t, pool)
	for _, path := range []string{
		"/overview", "/messages", "/messages/" + idPending, "/messages/" + idDead, "/subscriptions", "/subscriptions/stock", "/subscriptions/stock/deliveries",
		"/keys", "/failures", "/failures/sample?subscription=stock&cause=http%20500", "/senders", "/audit", "/settings", "/session",
	} {
		got := f.do("GET", path, nil)
		if got.status != http.StatusOK || strings.Contains(string(got.body), "hush") || strings.Contains(string(got.body), "whsec_") {
			t.Errorf("%s: status %d, %s", path, got.status, got.body)
		}
	}
}

// TestHiddenPayloadsAreHiddenFromViewers looks at everything as a viewer where payloads are hidden.
func TestHiddenPayloadsAreHiddenFromViewers(t *testing.T) {
	t.Parallel()
	f, pool := withData(t, Config{Settings: Settings{HidePayloads: true}})
	fill(t, pool)
	viewer := []string{"Authorization", "Bearer " + viewerToken}
	for _, path := range []string{"/overview", "/messages", "/messages/" + idDead, "/messages/" + idPending, "/subscriptions/stock/deliveries", "/keys", "/failures", "/failures/sample?subscription=stock&cause=http%20500"} {
		got := f.do("GET", path, nil, viewer...)
		if got.status != http.StatusOK || strings.Contains(string(got.body), "boom") || strings.Contains(string(got.body), `"x-a"`) || strings.Contains(string(got.body), "Ym9vbSAxNw") {
			t.Errorf("%s: status %d, %s", path, got.status, got.body)
		}
	}
	for _, path := range []string{"/messages/" + idDead + "/payload", "/messages?text=boom", "/messages?error=boom", "/messages/count?text=boom"} {
		if p := f.do("GET", path, nil, viewer...).problem(t); p.Status != http.StatusForbidden || p.Code != codeHidden {
			t.Errorf("%s: %+v", path, p)
		}
	}
	var m Message
	f.do("GET", "/messages/"+idPending, nil).into(t, 200, &m)
	if m.Hidden || len(m.Headers) != 2 {
		t.Errorf("as an operator: %+v", m)
	}
}

func TestPayloadsComeByteForByte(t *testing.T) {
	t.Parallel()
	f, pool := withData(t, Config{})
	fill(t, pool)
	got := f.do("GET", "/messages/"+idPending+"/payload", nil)
	if string(got.body) != `{"a" :1}` || got.header.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("%q, %v", got.body, got.header)
	}
	if got := f.do("GET", "/messages/"+idPending+"/payload?first=4", nil); string(got.body) != `{"a"` || got.header.Get("Relay-Size") != "8" {
		t.Errorf("the first 4 bytes: %q of %s", got.body, got.header.Get("Relay-Size"))
	}
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	f, pool := withData(t, Config{})
	fill(t, pool)
	body, key := NewMessage{Topic: "order.created", Payload: new("1")}, []string{"Idempotency-Key", "a"}
	var first, second Inserted
	f.do("POST", "/messages", body, key...).into(t, 201, &first)
	f.do("POST", "/messages", body, key...).into(t, 200, &second)
	if first.ID != second.ID || !first.Created || second.Created {
		t.Errorf("%+v, then %+v", first, second)
	}
	body.Topic = "order.paid"
	if p := f.do("POST", "/messages", body, key...).problem(t); p.Status != 422 || p.Code != "key_reused" {
		t.Errorf("the key for another message: %+v", p)
	}
	job := NewJob{Kind: "retry", Filter: Filter{Status: []string{"dead"}}}
	var made, again JobAnswer
	f.do("POST", "/jobs", job, key...).into(t, 201, &made)
	f.do("POST", "/jobs", job, key...).into(t, 200, &again)
	if made.Job.ID != again.Job.ID || again.Created {
		t.Errorf("a double click makes two jobs: %s and %s", made.Job.ID, again.Job.ID)
	}
}

func TestTwoPeopleDoNotOverwriteEachOther(t *testing.T) {
	t.Parallel()
	f, pool := withData(t, Config{})
	fill(t, pool)
	settings := SubscriptionSettings{Topics: []string{"order.#"}, MaxAttempts: new(7)}
	if p := f.do("PUT", "/subscriptions/stock", settings).problem(t); p.Status != 428 || p.Code != codeVersionNeeded {
		t.Errorf("without If-Match: %+v", p)
	}
	tag := f.do("GET", "/subscriptions/stock", nil).header.Get("ETag")
	var changed SubscriptionChanged
	f.do("PUT", "/subscriptions/stock", settings, "If-Match", tag).into(t, 200, &changed)
	if strings.Join(changed.Changed, ",") != "max_attempts,on_dead" {
		t.Errorf("changed %v", changed.Changed)
	}
	if p := f.do("PUT", "/subscriptions/stock", settings, "If-Match", tag).problem(t); p.Status != 412 || p.Code != "version_changed" {
		t.Errorf("with the old ETag: %+v", p)
	}
	if p := f.do("DELETE", "/subscriptions/stock", nil, "If-Match", tag).problem(t); p.Status != 412 {
		t.Errorf("delete with the old ETag: %+v", p)
	}
	if p := f.do("DELETE", "/subscriptions/stock", nil, "If-Match", quoted(changed.Version)).problem(t); p.Status != 409 || p.Code != "outstanding" {
		t.Errorf("delete while deliveries are outstanding: %+v", p)
	}
	var deleted SubscriptionDeleted
	f.do("DELETE", "/subscriptions/stock?cancel_outstanding=true", nil, "If-Match", "*").into(t, 200, &deleted)
	if !deleted.Deleted || deleted.Cancelled != 2 {
		t.Errorf("%+v", deleted)
	}
}

func TestSecretsOfSubscriptionsAreAddedAndRemovedUnseen(t *testing.T) {
	t.Parallel()
	f, pool := withData(t, Config{})
	fill(t, pool)
	const second = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
	put := func(s SubscriptionSettings) {
		t.Helper()
		s.Topics = []string{"order.#"}
		f.do("PUT", "/subscriptions/stock", s, "If-Match", "*").into(t, 200, new(SubscriptionChanged))
	}
	stored := func() (secrets []string, headers string) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), "select secrets, headers::text from relay.subscription where name = 'stock'").Scan(&secrets, &headers); err != nil {
			t.Fatal(err)
		}
		return secrets, headers
	}
	put(SubscriptionSettings{AddSecret: second, Headers: []HeaderValue{{Name: "authorization"}, {Name: "x-b", Value: new("2")}}})
	secrets, headers := stored()
	if len(secrets) != 2 || secrets[0] != second || headers != `{"x-b": "2", "authorization": "hush"}` {
		t.Errorf("%d secrets, headers %s", len(secrets), headers)
	}
	put(SubscriptionSettings{RemoveSecrets: []int{1}})
	if secrets, headers = stored(); len(secrets) != 1 || secrets[0] != second || !strings.Contains(headers, "hush") {
		t.Errorf("%v, headers %s", secrets, headers)
	}
}

func TestChangesStandInTheAudit(t *testing.T) {
	t.Parallel()
	f, pool := withData(t, Config{})
	fill(t, pool)
	in := f.do("POST", "/signin", SignIn{Token: adminToken, Name: "Ada"}, "Authorization", "")
	cookie, _, _ := strings.Cut(in.header.Get("Set-Cookie"), ";")
	f.do("POST", "/messages/"+idDead+"/retry", Change{Reason: "mended"}, "Authorization", "", "Cookie", cookie).into(t, 200, new(Result))
	f.do("POST", "/messages/"+idDead+"/retry", nil, "Authorization", "Bearer "+viewerToken)
	f.do("POST", "/signin", SignIn{Token: "a guess", Name: "Mallory"}, "Authorization", "")
	var page struct {
		Items []struct{ Name, Role, Action, Object, Result, Reason, Address string }
	}
	f.do("GET", "/audit", nil, "Authorization", "", "Cookie", cookie).into(t, 200, &page)
	text, _ := json.Marshal(page.Items)
	for _, want := range []string{
		`"Name":"Ada","Role":"operator","Action":"message.retry","Object":"` + idDead + `","Result":"retried","Reason":"mended","Address":"127.0.0.1"`,
		`"Name":"Ada","Role":"operator","Action":"session.signin"`, `"Role":"viewer","Action":"session.refused"`,
		`"Role":"none","Action":"session.signin","Object":"","Result":"refused: wrong token"`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the audit lacks %s: %s", want, text)
		}
	}
}
