package operate

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"time"

	"relay"
	"relay/sql"
)

// FailureGroup is what failed at one subscriber for one cause.
type FailureGroup struct {
	State        string        `json:"state" enum:"dead,failing,rejected" doc:"dead: needs a person; failing: goes by itself; rejected: could not be sent at all."`
	Subscription string        `json:"subscription,omitempty" doc:"Absent for rejected."`
	Cause        string        `json:"cause" doc:"Cause class. Empty: not known, from before causes were stored."`
	Class        string        `json:"class" enum:"push,handle,send,unknown" doc:"push: it did not reach the receiver; handle: the receiver's logic failed; send: it could not be sent at all."`
	Count        Count         `json:"count"`
	FirstAt      *time.Time    `json:"first_at,omitempty" doc:"The oldest of these."`
	LastAt       *time.Time    `json:"last_at,omitempty" doc:"The newest of these."`
	Trend        []int64       `json:"trend" doc:"Failed attempts per hour over the last 24, the oldest first; 24 values. Of the subscription, all causes together."`
	OldestID     string        `json:"oldest_id,omitempty" format:"uuid" doc:"The message that was inserted first."`
	NewestID     string        `json:"newest_id,omitempty" format:"uuid"`
	Error        string        `json:"error,omitempty" doc:"The newest error."`
	Guide        string        `json:"guide,omitempty" doc:"Anchor of the paragraph in docs/troubleshooting.md."`
	Note         *FailureNote  `json:"note,omitempty"`
	Job          *JobReference `json:"job,omitempty" doc:"The youngest job that runs on this group, is about to, or ended within the last minute."`
}

// JobReference is a job in short.
type JobReference struct {
	ID    string      `json:"id" format:"uuid"`
	Kind  sql.JobKind `json:"kind" enum:"retry,cancel,replay"`
	Done  int64       `json:"done"`
	Total *Count      `json:"total,omitempty"`
}

// Failures groups what failed by subscriber and cause, the largest group first, as they were up to a
// second ago. The state is dead, failing or rejected.
func (s *Service) Failures(ctx context.Context, state, subscription, cause string) ([]FailureGroup, error) {
	read := map[string]func(context.Context) (sql.FailureGroups, error){
		"dead": s.sampler.DeadGroups, "failing": s.sampler.FailingGroups, "rejected": s.sampler.RejectedGroups,
	}[state]
	if read == nil {
		return nil, invalid("state", "it is none of dead, failing and rejected")
	}
	found, err := read(ctx)
	if err != nil {
		return nil, err
	}
	surroundings, err := s.surround(ctx)
	if err != nil {
		return nil, err
	}
	groups := []FailureGroup{}
	for _, g := range found.Groups {
		if (subscription == "" || g.Subscription == subscription) && (cause == "" || string(g.Cause) == cause) {
			groups = append(groups, surroundings.group(state, g, found.Exact))
		}
	}
	return groups, nil
}

// surroundings is what is shown beside groups of failures.
type surroundings struct {
	now    time.Time
	trends series
	notes  map[string]FailureNote
	jobs   []sql.Job
}

func (s *Service) surround(ctx context.Context) (around surroundings, err error) {
	around.now = time.Now()
	points, err := s.store.OutcomeSeries(ctx, around.now.Add(-24*time.Hour), around.now, time.Hour)
	if err != nil {
		return around, err
	}
	around.trends = newSeries(points)
	if around.notes, err = s.notes(ctx); err != nil {
		return around, err
	}
	around.jobs, err = s.store.RecentJobs(ctx, 100)
	return around, err
}

func (a surroundings) group(state string, g sql.FailureGroup, exact bool) FailureGroup {
	group := FailureGroup{
		State: state, Subscription: g.Subscription, Cause: string(g.Cause), Class: cmp.Or(string(g.Cause.Side()), "unknown"),
		Count: counted(sql.Count{N: int64(g.Count), Exact: exact}), FirstAt: utc(&g.First), LastAt: utc(&g.Last),
		Trend: make([]int64, 24), OldestID: g.Oldest.String(), NewestID: g.Newest.String(), Error: g.Error, Guide: g.Cause.Anchor(),
	}
	if g.Subscription != "" {
		group.Trend = a.trends.values(g.Subscription, a.now, time.Hour, 24, failures)
	}
	if note, is := a.notes[groupName(g.Subscription, string(g.Cause))]; is && note.Text != "" {
		group.Note = &note
	}
	for _, j := range a.jobs {
		f := j.Filter
		if j.Kind != sql.JobReplay && f.Subscription == g.Subscription && (len(f.Causes) == 0 || slices.Contains(f.Causes, g.Cause)) {
			group.Job = &JobReference{ID: j.ID.String(), Kind: j.Kind, Done: j.Done, Total: totalOf(j)}
			break
		}
	}
	return group
}

// totalOf is how many messages a job has to change; nil: that was not counted yet.
func totalOf(j sql.Job) *Count {
	if !j.Counted && j.Total == 0 {
		return nil
	}
	c := counted(sql.Count{N: j.Total, Exact: j.Counted})
	return &c
}

// FailureSample is a closer look at one group of failures.
type FailureSample struct {
	Sampled  int64          `json:"sampled"`
	Patterns []ErrorPattern `json:"patterns"`
	Newest   []string       `json:"newest"` // ids of the newest messages, at most 5
	Guide    string         `json:"guide,omitempty"`
}

// ErrorPattern is the text that several errors have in common.
type ErrorPattern struct {
	Pattern string `json:"pattern" doc:"Each * stands for what differs."`
	N       int64  `json:"n" doc:"In the sample."`
	Example string `json:"example" doc:"The newest of these errors."`
	ID      string `json:"message_id" format:"uuid" doc:"Its message."`
}

// sampled is how many of the newest failures are looked at.
const sampled = 1000

// FailureSample groups the newest failures of a group more finely.
func (s *Service) FailureSample(ctx context.Context, state, subscription, cause string) (sample FailureSample, err error) {
	sample = FailureSample{Patterns: []ErrorPattern{}, Newest: []string{}, Guide: relay.Cause(cause).Anchor()}
	samples, err := s.samples(ctx, state, subscription, relay.Cause(cause))
	if err != nil {
		return sample, err
	}
	at := make(map[string]int)
	for _, f := range samples {
		if len(sample.Newest) < 5 {
			sample.Newest = append(sample.Newest, f.Message.String())
		}
		pattern := generalise(f.Error)
		i, known := at[pattern]
		if !known {
			i = len(sample.Patterns)
			at[pattern] = i
			sample.Patterns = append(sample.Patterns, ErrorPattern{Pattern: pattern, Example: f.Error, ID: f.Message.String()})
		}
		sample.Patterns[i].N++
	}
	slices.SortStableFunc(sample.Patterns, func(a, b ErrorPattern) int { return cmp.Compare(b.N, a.N) })
	sample.Patterns = sample.Patterns[:min(len(sample.Patterns), 50)]
	sample.Sampled = int64(len(samples))
	return sample, nil
}

// samples reads the newest failures of a group.
func (s *Service) samples(ctx context.Context, state, subscription string, cause relay.Cause) ([]sql.FailureSample, error) {
	if state == "dead" {
		return s.store.DeadSamples(ctx, subscription, cause, sampled)
	}
	f := sql.MessageFilter{Subscription: subscription, Status: sql.Statuses{relay.MessageRejected}}
	if state == "failing" {
		f.Status, f.DeliveryStatus = nil, []relay.DeliveryStatus{relay.DeliveryPushFailed, relay.DeliveryHandleFailed}
	}
	if cause != "" {
		f.Causes = []relay.Cause{cause}
	}
	page, err := s.store.FindMessages(ctx, f, "", sampled)
	if err != nil {
		return nil, err
	}
	var samples []sql.FailureSample
	for _, m := range page.Messages {
		samples = append(samples, sql.FailureSample{Message: m.ID, Error: m.Error, At: m.CreatedAt})
	}
	return samples, nil
}

// differing is what differs between errors that are alike: quoted words, ids and numbers.
var differing = regexp.MustCompile(`"[^"]*"|'[^']*'|\b[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b[0-9a-fA-F]*[0-9][0-9a-fA-F]*\b`)

// statusFirst is the code at the begin of an error, which does not differ.
var statusFirst = regexp.MustCompile(`^(HTTP |AMQP )?[0-9]{3}\b`)

// generalise replaces what differs in an error.
func generalise(text string) string {
	status := statusFirst.FindString(text)
	return status + differing.ReplaceAllString(text[len(status):], "*")
}
