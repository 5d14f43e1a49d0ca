package operate

import (
	"cmp"
	"context"
	"slices"
	"time"

	"relay"
	"relay/sql"
)

// Sender is a service that sends messages.
type Sender struct {
	Source        string       `json:"source" doc:"As rows name it; that of the relay for rows without one."`
	Topics        int          `json:"topics" doc:"Topics within 24 hours."`
	RatePerSecond float64      `json:"rate_per_second" doc:"Over the last 5 minutes."`
	LastAt        *time.Time   `json:"last_at,omitempty" doc:"Insertion of the last message that was taken up."`
	Today         Count        `json:"today" doc:"Messages taken up within 24 hours."`
	Rejected      Count        `json:"rejected" doc:"Of these, the ones that could not be sent."`
	Bytes         int64        `json:"bytes" doc:"Of these."`
	HandledShare  *float64     `json:"handled_share,omitempty" doc:"0 to 1: done, of the newest messages. For one sender only."`
	OldestOpen    *time.Time   `json:"oldest_open,omitempty" doc:"Creation of the oldest of these that has not ended well. For one sender only."`
	Unheard       []string     `json:"unheard" doc:"Topics that no subscription matches, at most 20."`
	Spark         []int64      `json:"spark" doc:"Messages per minute over the last hour, the oldest first; 60 values."`
	Stages        []StageCount `json:"stages" doc:"Of the newest messages, at most 500. For one sender only."`
	NewestTopics  []string     `json:"newest_topics" doc:"The topics that it sent last, the newest first, at most 10."`
	SentTopics    []SentTopic  `json:"topic_list" doc:"For one sender only; at most 500."`
}

// StageCount is how many messages or deliveries are at one stage.
type StageCount struct {
	Stage Stage `json:"stage" enum:"send_failed,committed,push_failed,handle_failed,handled,delivered,cancelled" doc:"The stage as senders and receivers see it."`
	Count Count `json:"count"`
}

// SentTopic is a topic of one sender.
type SentTopic struct {
	Topic         string    `json:"topic"`
	RatePerSecond float64   `json:"rate_per_second" doc:"Over the last 5 minutes."`
	LastAt        time.Time `json:"last_at"`
	Today         Count     `json:"today"`
	Rejected      Count     `json:"rejected"`
	Subscriptions []string  `json:"subscriptions" doc:"The subscriptions that receive it."`
	Unheard       bool      `json:"unheard" doc:"No subscription matches, and there is no default destination."`
}

// senderPairs bounds how many pairs of source and topic are looked at.
const senderPairs = 5000

// Routing holds the settings that decide, besides subscriptions, where the messages of a topic go.
type Routing struct {
	Source  string // of rows that name none
	Default bool   // there is a default destination
}

// Routing is how the running relays route, as they report it. Where none does, it is what the caller knows.
func (s *Service) Routing(ctx context.Context, known Routing) (Routing, error) {
	facts, err := s.store.Overview(ctx)
	if err != nil {
		return known, err
	}
	for _, r := range facts.Relays {
		if r.Report != nil {
			return Routing{Source: r.Report.Settings["RELAY_SOURCE"], Default: r.Report.Settings["RELAY_DEFAULT_DESTINATION"] != ""}, nil
		}
	}
	return known, nil
}

// Senders lists the services that sent messages within 24 hours, by name.
func (s *Service) Senders(ctx context.Context, r Routing) ([]Sender, error) {
	return s.senders(ctx, nil, r)
}

// Sender shows one sender. The relay's own source is that of rows without one, too.
func (s *Service) Sender(ctx context.Context, source string, r Routing) (Sender, error) {
	if err := storable("source", source); err != nil {
		return Sender{}, err
	}
	named := source
	if source == r.Source {
		named = ""
	}
	list, err := s.senders(ctx, &named, r)
	if err != nil {
		return Sender{}, err
	}
	one := Sender{Source: source, Unheard: []string{}, Spark: make([]int64, 60), Today: exactly(0), Rejected: exactly(0), NewestTopics: []string{}, SentTopics: []SentTopic{}}
	if len(list) > 0 {
		one = list[0]
	}
	one.Stages = []StageCount{}
	return one, s.lookCloser(ctx, &one, named)
}

// lookCloser looks at the newest messages of a sender.
func (s *Service) lookCloser(ctx context.Context, one *Sender, source string) error {
	if source == "" {
		return nil // the rows name none: nothing finds them but a walk through all
	}
	page, err := s.store.ListMessages(ctx, sql.MessageFilter{Source: source}, "", 500)
	if err != nil {
		return err
	}
	counts := make(map[Stage]int64)
	for _, m := range page.Messages {
		v := newMessage(m)
		counts[v.Stage()]++
		if v.Status != relay.MessageDone && v.Status != relay.MessageCancelled {
			one.OldestOpen = utc(&v.CreatedAt)
		}
	}
	for _, stage := range []Stage{StageSendFailed, StageCommitted, StagePushFailed, StageHandleFailed, StageHandled, StageCancelled} {
		one.Stages = append(one.Stages, StageCount{stage, counted(sql.Count{N: counts[stage], Exact: page.Next == ""})})
	}
	if n := len(page.Messages); n > 0 {
		share := float64(counts[StageHandled]) / float64(n)
		one.HandledShare = &share
	}
	return nil
}

func (s *Service) senders(ctx context.Context, source *string, r Routing) ([]Sender, error) {
	now := time.Now()
	pairs, err := s.store.Senders(ctx, now.Add(-24*time.Hour), source, senderPairs)
	if err != nil {
		return nil, err
	}
	rates, err := s.topicRates(ctx, source, now)
	if err != nil {
		return nil, err
	}
	points, err := s.store.SentSeries(ctx, now.Add(-time.Hour), now, time.Minute)
	if err != nil {
		return nil, err
	}
	settings, err := s.store.ListSettings(ctx, "")
	if err != nil {
		return nil, err
	}
	minutes, heard := newSeries(points), newHearers(settings)
	list, sent := []Sender{}, make(map[string][]sql.Sender)
	for _, p := range pairs {
		sent[p.Source] = append(sent[p.Source], p)
		if len(list) == 0 || p.Source != list[len(list)-1].Source {
			list = append(list, Sender{
				Source: p.Source, Today: exactly(0), Rejected: exactly(0), Unheard: []string{}, Stages: []StageCount{}, SentTopics: []SentTopic{},
				Spark: sparkOf(minutes, p.Source, now),
			})
		}
		list[len(list)-1].add(p, rates[sentPair{p.Source, p.Topic}], heard, r)
	}
	for i := range list {
		list[i].RatePerSecond, list[i].NewestTopics = lately(list[i].Spark), newestTopics(sent[list[i].Source])
		if list[i].Source == "" {
			list[i].Source = r.Source
		}
	}
	return list, nil
}

// newestTopics names the topics of one source, the one that it sent last first.
func newestTopics(sent []sql.Sender) []string {
	slices.SortFunc(sent, func(a, b sql.Sender) int { return cmp.Or(b.LastAt.Compare(a.LastAt), cmp.Compare(a.Topic, b.Topic)) })
	names := []string{}
	for _, p := range sent[:min(len(sent), 10)] {
		names = append(names, p.Topic)
	}
	return names
}

// sentPair is what messages are counted by.
type sentPair struct{ source, topic string }

// topicRates is how many messages of each pair came per second lately.
func (s *Service) topicRates(ctx context.Context, source *string, now time.Time) (map[sentPair]float64, error) {
	since := now.Truncate(time.Minute).Add(-5 * time.Minute)
	pairs, err := s.store.Senders(ctx, since, source, senderPairs)
	if err != nil {
		return nil, err
	}
	rates := make(map[sentPair]float64, len(pairs))
	for _, p := range pairs {
		rates[sentPair{p.Source, p.Topic}] = float64(p.Taken) / now.Sub(since).Seconds()
	}
	return rates, nil
}

// hearer is a subscription and the topics that it hears.
type hearer struct {
	name  string
	hears func(topic string) bool
}

func newHearers(settings []sql.SubscriptionFacts) (all []hearer) {
	for _, f := range settings {
		all = append(all, hearer{f.Name, sql.TopicMatcher(f.Topics)})
	}
	return all
}

// sparkOf is what a source sent in each of 60 minutes. The source of the empty name is the relay's own.
func sparkOf(minutes series, source string, now time.Time) []int64 {
	return series{"x": minutes[source]}.values("", now, time.Minute, 60, went)
}

// lately is the rate per second of the last five whole minutes.
func lately(spark []int64) float64 {
	sum := int64(0)
	for _, n := range spark[len(spark)-6 : len(spark)-1] {
		sum += n
	}
	return float64(sum) / 300
}

// add adds one topic.
func (one *Sender) add(p sql.Sender, rate float64, heard []hearer, r Routing) {
	topic := SentTopic{Topic: p.Topic, RatePerSecond: rate, LastAt: p.LastAt.UTC(), Today: exactly(p.Taken), Rejected: exactly(p.Rejected), Subscriptions: []string{}}
	for _, h := range heard {
		if h.hears(p.Topic) {
			topic.Subscriptions = append(topic.Subscriptions, h.name)
		}
	}
	topic.Unheard = len(topic.Subscriptions) == 0 && !r.Default
	one.Topics++
	one.Today.N += p.Taken
	one.Rejected.N += p.Rejected
	one.Bytes += p.Bytes
	if one.LastAt == nil || p.LastAt.After(*one.LastAt) {
		one.LastAt = utc(&p.LastAt)
	}
	if topic.Unheard && len(one.Unheard) < 20 {
		one.Unheard = append(one.Unheard, p.Topic)
	}
	if len(one.SentTopics) < 500 {
		one.SentTopics = append(one.SentTopics, topic)
	}
}
