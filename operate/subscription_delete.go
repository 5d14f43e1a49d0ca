package operate

import (
	"context"
	"errors"

	"relay/sql"
)

// cancelledByDelete is the last error of what the deletion of a subscription cancels.
const cancelledByDelete = "cancelled because its subscription was deleted"

// Deleted is what the deletion of a subscription did.
type Deleted struct {
	Name      string `json:"name"`
	Cancelled int    `json:"cancelled"` // deliveries
}

// Delete removes a subscription that still has a version; an empty version is any. While deliveries are outstanding
// that is CodeOutstanding, unless they are to be cancelled, each with an error that says so.
func (s *Service) Delete(ctx context.Context, actor Actor, name, version string, cancelOutstanding bool) (Deleted, error) {
	d := Deleted{Name: name}
	store := s.by(actor)
	err := store.DeleteSubscriptionAt(ctx, name, version)
	if errors.Is(err, sql.ErrOutstanding) && !cancelOutstanding {
		return d, s.outstanding(ctx, name)
	}
	if errors.Is(err, sql.ErrOutstanding) {
		d.Cancelled, err = cancelAndDelete(ctx, store, name)
	}
	return d, noSubscription(err, name)
}

// outstanding says how much is outstanding.
func (s *Service) outstanding(ctx context.Context, name string) error {
	n, err := s.store.CountOutstanding(ctx, name)
	if err != nil {
		return err
	}
	more := ""
	if n >= sql.CountLimit {
		more = " or more"
	}
	return refused(CodeOutstanding, sql.ErrOutstanding, "subscription %s was not deleted, deliveries outstanding: %d%s; let them end, or cancel them", quote(name), n, more)
}

// cancelAndDelete cancels what is outstanding until the database lets the subscription go: meanwhile relays may take
// up messages for it.
func cancelAndDelete(ctx context.Context, store *sql.Store, name string) (cancelled int, err error) {
	for tries := 0; ; {
		n, found, err := store.CancelOutstanding(ctx, name, cancelledByDelete, changeBatch)
		if cancelled += n; err != nil {
			return cancelled, err
		}
		if found == 0 {
			if err := store.DeleteSubscription(ctx, name); !errors.Is(err, sql.ErrOutstanding) {
				return cancelled, err
			}
			continue
		}
		if n > 0 {
			tries = 0
			continue
		}
		if tries++; tries > lockedTries {
			return cancelled, refused(CodeLocked, nil, "subscription %s was not deleted: other sessions hold deliveries outstanding; %d were cancelled, try again", quote(name), cancelled)
		}
		if err := pause(ctx, lockedWait); err != nil {
			return cancelled, err
		}
	}
}
