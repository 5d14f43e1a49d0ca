package main

import (
	"errors"
	"fmt"

	"relay/sql"
)

// Database returns what leads to the database, now and for each later connection.
func (c Config) Database() sql.Address {
	address := sql.Address{URL: string(c.DatabaseURL)}
	if c.databaseFile != "" {
		address.Reread = c.rereadDatabase
	}
	if c.password != nil {
		address.Password = c.password.password
	}
	return address
}

// rereadDatabase reads the file of the database's URL again, without the parameters that mean
// nothing here.
func (c Config) rereadDatabase() (string, error) {
	value, err := readSecret(c.databaseFileName, c.databaseFile)
	if err != nil {
		return "", err
	}
	clean, _, why := cleanDatabase(value)
	if why != "" {
		return "", fmt.Errorf("%s: the file was written anew: %s", c.databaseFileName, why)
	}
	return clean, nil
}

// mendConnect says what helps against a connection that was refused.
func (c Config) mendConnect(err error) string {
	switch {
	case errors.As(err, new(*sql.AddressError)) && c.password != nil:
		return "run RELAY_DATABASE_PASSWORD_COMMAND by hand, as the relay's user, and mend what it says"
	case !refused(err):
		return mendConnect(err)
	case c.password != nil:
		return "run RELAY_DATABASE_PASSWORD_COMMAND by hand, as the relay's user: the server refuses what it prints, or the user of the database URL"
	case c.databaseFile != "":
		return fmt.Sprintf("write the password that is valid now into %s (%s)", c.databaseFile, c.databaseFileName)
	}
	return mendConnect(err)
}
