package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"relay/operate"
)

// live is how the process stands.
func (a *API) live() operate.Live {
	if a.Process == nil {
		return operate.Live{}
	}
	return a.Process.Live()
}

func (a *API) listSubscriptions(ctx context.Context, in *listSubscriptionsInput) (*Answer[Page[Subscription]], error) {
	began := time.Now()
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	standings, err := service.Standings(ctx, a.live().Circuits)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	all, err := subscriptions(ctx, service, standings)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	// The names are the places of this list.
	start := 0
	for start < len(all) && in.After != "" && all[start].Name <= in.After {
		start++
	}
	page := whole(all[start:min(start+in.Limit, len(all))], began)
	if start+in.Limit < len(all) {
		page.Body.Next, page.Body.Complete = all[start+in.Limit-1].Name, true
	}
	return page, nil
}

// subscriptions lists the subscriptions by name, and direct and default if anything stands or went there lately.
func subscriptions(ctx context.Context, service *operate.Service, standings operate.Standings) ([]Subscription, error) {
	settings, err := service.SettingsOf(ctx, "")
	if err != nil {
		return nil, err
	}
	all := []Subscription{}
	for _, s := range settings {
		all = append(all, newSubscription(s, standings.Of(s.Name)))
	}
	for _, name := range standings.Names() {
		if isBuiltIn(name) {
			all = append(all, builtIn(name, standings.Of(name)))
		}
	}
	slices.SortFunc(all, func(a, b Subscription) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

func isBuiltIn(name string) bool { return name == "direct" || name == "default" }

func builtIn(name string, standing operate.Standing) Subscription {
	return Subscription{Name: name, BuiltIn: true, State: "active", Standing: standing, Matches: []TopicMatch{}}
}

func newSubscription(s operate.Subscription, standing operate.Standing) Subscription {
	ms := func(seconds float64) int64 { return int64(seconds*1000 + 0.5) }
	facts := &SubscriptionFacts{
		Topics: s.Topics, Target: s.Target, Paused: s.Paused, Ordered: s.Ordered, Broadcast: s.Broadcast, Ack: s.Ack, AckTimeoutMS: ms(s.AckTimeoutSeconds),
		Concurrency: s.Concurrency, RateLimit: s.RateLimit, MaxAttempts: s.MaxAttempts, MaxHandleAttempts: s.MaxHandleAttempts, BackoffMS: []int64{},
		OnDead: s.OnDead, Secrets: s.Secrets, Headers: s.Headers, CreatedAt: s.CreatedAt,
	}
	if s.TimeoutSeconds != nil {
		timeout := ms(*s.TimeoutSeconds)
		facts.TimeoutMS = &timeout
	}
	for _, seconds := range s.BackoffSeconds {
		facts.BackoffMS = append(facts.BackoffMS, ms(seconds))
	}
	if facts.Headers == nil {
		facts.Headers = []string{}
	}
	return Subscription{
		Name: s.Name, State: string(s.State), Invalid: s.Error, Version: s.Version, Settings: facts, Standing: standing, Matches: []TopicMatch{},
	}
}

func (a *API) getSubscription(ctx context.Context, in *subscriptionInput) (*subscriptionOutput, error) {
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	standings, err := service.Standings(ctx, a.live().Circuits)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	if isBuiltIn(in.Name) {
		return &subscriptionOutput{Body: builtIn(in.Name, standings.Of(in.Name))}, nil
	}
	settings, err := service.SettingsOf(ctx, in.Name)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	one := newSubscription(settings[0], standings.Of(in.Name))
	senders, err := service.Senders(ctx, a.routing())
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	one.Matches = matched(senders, in.Name)
	return &subscriptionOutput{ETag: quoted(one.Version), Body: one}, nil
}

// matched lists the topics seen within a day that a subscription hears.
func matched(senders []operate.Sender, name string) []TopicMatch {
	counts := map[string]int64{}
	for _, s := range senders {
		for _, t := range s.SentTopics {
			if slices.Contains(t.Subscriptions, name) {
				counts[t.Topic] += t.Today.N
			}
		}
	}
	list := []TopicMatch{}
	for topic, n := range counts {
		list = append(list, TopicMatch{Topic: topic, Messages: Count{N: n, Precision: operate.Exact}})
	}
	slices.SortFunc(list, func(a, b TopicMatch) int { return cmp.Compare(a.Topic, b.Topic) })
	return list[:min(len(list), 100)]
}

// quoted is a version as an ETag.
func quoted(version string) string { return `"` + version + `"` }

// version reads If-Match: the ETag or the version that a client has; * is any, which is empty here.
func version(header string) string {
	v := strings.Trim(strings.TrimPrefix(strings.TrimSpace(header), "W/"), `"`)
	v, _, _ = strings.Cut(v, tagSeparator)
	return strings.TrimPrefix(v, "*")
}

// holdVersion judges If-Match for a subscription that may exist already.
func (a *API) holdVersion(ctx context.Context, service *operate.Service, name, ifMatch string) (string, error) {
	if ifMatch != "" {
		return version(ifMatch), nil
	}
	_, err := service.SettingsOf(ctx, name)
	switch {
	case operate.CodeOf(err) == operate.CodeNoSubscription:
		return "", nil
	case err != nil:
		return "", a.failed(ctx, err)
	}
	return "", problem(http.StatusPreconditionRequired, codeVersionNeeded, "The subscription exists, and If-Match is missing.",
		"Send If-Match with the ETag of GET /subscriptions/{name}, or * to overwrite whatever there is.")
}

func (a *API) putSubscription(ctx context.Context, in *putSubscriptionInput) (*subscriptionChangedOutput, error) {
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	v, err := a.holdVersion(ctx, service, in.Name, in.IfMatch)
	if err != nil {
		return nil, err
	}
	before, err := service.SettingsOf(ctx, in.Name)
	if err != nil && operate.CodeOf(err) != operate.CodeNoSubscription {
		return nil, a.failed(ctx, err)
	}
	b := in.Body
	_, err = service.PutAt(ctx, actor(ctx, b.Reason), in.Name, v, b.settings(), operate.SecretChange{Add: b.AddSecret, Remove: b.RemoveSecrets}, b.headers())
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	return a.changed(ctx, service, in.Name, before)
}

// changed answers what is different from what there was.
func (a *API) changed(ctx context.Context, service *operate.Service, name string, before []operate.Subscription) (*subscriptionChangedOutput, error) {
	after, err := service.SettingsOf(ctx, name)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	standings, err := service.Standings(ctx, nil)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	out := &subscriptionChangedOutput{
		Status: http.StatusOK, ETag: quoted(after[0].Version),
		Body: SubscriptionChanged{Name: name, Version: after[0].Version, Waiting: standings.Of(name).Outstanding, Changed: []string{}},
	}
	if len(before) == 0 {
		out.Status, out.Body.Created = http.StatusCreated, true
		return out, nil
	}
	out.Body.Changed = differences(*newSubscription(before[0], operate.Standing{}).Settings, *newSubscription(after[0], operate.Standing{}).Settings)
	return out, nil
}

func (a *API) deleteSubscription(ctx context.Context, in *deleteSubscriptionInput) (*deletedOutput, error) {
	const cancelTime = 5 * time.Second
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	v, err := a.holdVersion(ctx, service, in.Name, in.IfMatch)
	if err != nil {
		return nil, err
	}
	deleted, cancelled, err := service.DeleteAt(ctx, actor(ctx, in.Reason), in.Name, v, in.CancelOutstanding, cancelTime)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	out := &deletedOutput{Status: http.StatusOK, Body: SubscriptionDeleted{Name: in.Name, Deleted: deleted, Cancelled: int64(cancelled)}}
	if !deleted {
		out.Status = http.StatusAccepted
	}
	return out, nil
}

func (a *API) pauseSubscription(ctx context.Context, in *switchSubscriptionInput) (*Answer[SubscriptionChanged], error) {
	return a.setPaused(ctx, in, true)
}

func (a *API) resumeSubscription(ctx context.Context, in *switchSubscriptionInput) (*Answer[SubscriptionChanged], error) {
	return a.setPaused(ctx, in, false)
}

func (a *API) setPaused(ctx context.Context, in *switchSubscriptionInput, paused bool) (*Answer[SubscriptionChanged], error) {
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	before, err := service.SettingsOf(ctx, in.Name)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	if err := service.SetPaused(ctx, actor(ctx, reasonOf(in.Body)), in.Name, paused); err != nil {
		return nil, a.failed(ctx, err)
	}
	out, err := a.changed(ctx, service, in.Name, before)
	if err != nil {
		return nil, err
	}
	return &Answer[SubscriptionChanged]{out.Body}, nil
}

func reasonOf(b *Because) string {
	if b == nil {
		return ""
	}
	return b.Reason
}

func (a *API) testSubscription(ctx context.Context, in *trialInput) (*insertedOutput, error) {
	service, err := a.service()
	if err != nil {
		return nil, err
	}
	var trial Trial
	if in.Body != nil {
		trial = *in.Body
	}
	if _, err := service.SettingsOf(ctx, in.Name); err != nil {
		return nil, a.failed(ctx, err)
	}
	sent, err := service.Test(ctx, actor(ctx, trial.Reason), in.Name, trial.Topic)
	if err != nil {
		return nil, a.failed(ctx, err)
	}
	return inserted(sent.ID, "", false, http.StatusAccepted), nil
}
