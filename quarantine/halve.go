package quarantine

import (
	"context"

	"relay/sql"
)

// InHalves does something for all items at once. If that fails because of some item, it is done for each half, and
// so on, until the culprits stand alone: culprit gets each, and the others are done. An error says that
// nothing at all can be done at present, not even for no item, or that ctx has ended.
func InHalves[T any](ctx context.Context, items []T, do func([]T) error, culprit func(T, error)) error {
	if len(items) == 0 {
		return nil
	}
	err := do(items)
	if err == nil || ctx.Err() != nil || sql.AboutTheServer(err) {
		return err
	}
	if general := do(nil); general != nil {
		return general
	}
	return halve(ctx, items, err, do, culprit)
}

// halve is InHalves for items for which it has failed.
func halve[T any](ctx context.Context, items []T, failed error, do func([]T) error, culprit func(T, error)) error {
	if len(items) == 1 {
		culprit(items[0], failed)
		return nil
	}
	middle := len(items) / 2
	for _, half := range [][]T{items[:middle], items[middle:]} {
		err := do(half)
		if err != nil && (ctx.Err() != nil || sql.AboutTheServer(err)) {
			return err
		}
		if err == nil {
			continue
		}
		if err := halve(ctx, half, err, do, culprit); err != nil {
			return err
		}
	}
	return nil
}
