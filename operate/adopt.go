package operate

import (
	"context"
	"fmt"
)

// cancelledByAdopt is the last error of what is cancelled before a copy is adopted.
const cancelledByAdopt = "cancelled by relay adopt"

// Adopted is what became of a database that relays are to deliver from.
type Adopted struct {
	Database string `json:"database"`
	// Already says that it is no copy, so that nothing was done.
	Already     bool `json:"already"`
	Cancelled   int  `json:"cancelled"`    // messages
	StoppedJobs int  `json:"stopped_jobs"` // of these that ran
}

// Adopt has relays deliver from a database that is a copy of another one; first, if that is asked for, it cancels
// every message that has not ended and stops the jobs. Relays that wait for it go on within a second.
func (s *Service) Adopt(ctx context.Context, actor Actor, cancelOutstanding bool) (Adopted, error) {
	i, err := s.store.Identity(ctx)
	if err != nil {
		return Adopted{}, err
	}
	a := Adopted{Database: i.Actual.String()}
	if i.Stored.Database != 0 && i.Err() == nil {
		if cancelOutstanding {
			return a, refused(CodeInvalid, nil, "nothing was cancelled: this database (%s) is no copy, and its messages are delivered from here", i.Actual)
		}
		a.Already = true
		return a, nil
	}
	if cancelOutstanding {
		if a.StoppedJobs, err = s.by(actor).StopJobs(ctx); err != nil {
			return a, err
		}
		if a.Cancelled, err = s.cancelEverything(ctx, actor); err != nil {
			return a, err
		}
	}
	i, err = s.by(actor).Adopt(ctx)
	a.Database = i.Actual.String()
	return a, err
}

// cancelEverything cancels what has not ended, batch by batch.
func (s *Service) cancelEverything(ctx context.Context, actor Actor) (total int, err error) {
	for tries := 0; ; {
		n, found, err := s.by(actor).CancelEverything(ctx, cancelledByAdopt, changeBatch)
		total += n
		switch {
		case err != nil:
			return total, fmt.Errorf("%w; %d messages were cancelled, and the copy is not adopted: run the command again", err, total)
		case found == 0:
			return total, nil
		case n > 0:
			tries = 0
			continue
		}
		if tries++; tries > lockedTries {
			return total, refused(CodeLocked, nil, "other sessions hold messages that have not ended: end those sessions and run the command again; %d messages were cancelled, and the copy is not adopted", total)
		}
		if err := pause(ctx, lockedWait); err != nil {
			return total, err
		}
	}
}
