package main

import (
	"strings"
	"testing"
)

// What other drivers put into a connection string and the relay does not need is left out.
func TestForeignParametersAreLeftOut(t *testing.T) {
	t.Parallel()
	for given, want := range map[string][2]string{
		"postgres://u:p@db/shop": {"postgres://u:p@db/shop", ""},
		"postgres://u:p@db/shop?schema=public&connection_limit=5&pgbouncer=true&sslmode=require":                           {"postgres://u:p@db/shop?sslmode=require", "schema connection_limit pgbouncer"},
		"postgresql://u:p%40%3F@db/shop?gssencmode=disable&keepalives=1&keepalives_idle=30&load_balance_hosts=random":      {"postgresql://u:p%40%3F@db/shop", "gssencmode keepalives keepalives_idle load_balance_hosts"},
		"postgres://u:p@db/shop?pool_max_conns=4&pool_timeout=2&default_query_exec_mode=simple_protocol&connect_timeout=3": {"postgres://u:p@db/shop?connect_timeout=3", "pool_max_conns pool_timeout default_query_exec_mode"},
		"postgres://u@db/shop?sslcert=a%20b.pem&sslkey=k&sslrootcert=r&target_session_attrs=read-write&options=-c%20a.b%3D1": {
			"postgres://u@db/shop?sslcert=a%20b.pem&sslkey=k&sslrootcert=r&target_session_attrs=read-write&options=-c%20a.b%3D1", ""},
		`host=db user=u password='it\'s schema=x' schema=public keepalives = '1' dbname=shop`: {`host=db user=u password='it\'s schema=x' dbname=shop`, "schema keepalives"},
		"postgres://u:p@db/shop\r\n": {"postgres://u:p@db/shop", ""},
		"postgres://u:p@db/shop?supa=base-pooler.x&ssl_min_protocol_version=TLSv1.2&loggerLevel=OFF&conn_max_age=600&command_timeout=60&sslmode=require": {
			"postgres://u:p@db/shop?sslmode=require", "supa ssl_min_protocol_version loggerLevel conn_max_age command_timeout"},
		"password=a;b host=db user=u":        {"password=a;b host=db user=u", ""},
		"user=u password='x;Host=y' host=db": {"user=u password='x;Host=y' host=db", ""},
		"host=db user=u password=a;host=b":   {"host=db user=u password=a;host=b", ""},
		`password=pool_max_conns=1 host=db`:  {`password=pool_max_conns=1 host=db`, ""},
		"host=db  password=  user=u":         {"host=db  password=  user=u", ""},
	} {
		clean, dropped, why := cleanDatabase(given)
		if clean != want[0] || strings.Join(dropped, " ") != want[1] || why != "" {
			t.Errorf("%s\nbecomes %s\nwithout %q, reason %q", given, clean, dropped, why)
		}
	}
}

// The forms and parameters of other drivers are recognised, and no password is shown.
func TestForeignFormsAreExplained(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"Host=db.example;Port=6432;Username=app;Password=HUSH;Database=shop":     "Npgsql; write postgres://USER:PASSWORD@db.example:6432/shop",
		"Server=db;User Id=app;Password=a;b://HUSH=;Database=shop":               "Npgsql; write postgres://USER:PASSWORD@db:5432/shop",
		"server = db ; userid=HUSH ; password=HUSH":                              "Npgsql; write postgres://USER:PASSWORD@db:5432/DATABASE",
		"Password=HUSH;Host=HUSH HUSH@x;Database=HUSH/HUSH":                      "Npgsql; write postgres://USER:PASSWORD@HOST:5432/DATABASE",
		"jdbc:postgresql://db.example:5433/shop?user=app&password=HUSH&ssl=true": "JDBC; write postgres://USER:PASSWORD@db.example:5433/shop",
		"jdbc:postgresql://one:1,two:2/shop":                                     "JDBC; write postgres://USER:PASSWORD@one:1,two:2/shop",
		"jdbc:postgresql:shop":                                                   "JDBC; write postgres://USER:PASSWORD@localhost:5432/shop",
		"jdbc:postgresql://app:HUSH@db/shop":                                     "JDBC; write postgres://USER:PASSWORD@HOST:5432/DATABASE",
		"JDBC:POSTGRESQL://db/shop":                                              "JDBC; write postgres://USER:PASSWORD@db/shop",
		"r2dbc:postgresql://db:5433/shop":                                        "R2DBC; write postgres://USER:PASSWORD@db:5433/shop",
		"r2dbc:pool:postgresql://app:HUSH@db/shop":                               "R2DBC; write postgres://USER:PASSWORD@HOST:5432/DATABASE",
		"Pooling=true;Host=db;Username=app;Password=HUSH;Database=shop":          "Npgsql; write postgres://USER:PASSWORD@db:5432/shop",
		"SSL Mode=Require;Host=db;Username=app;Password=HU=SH==;Database=shop":   "Npgsql; write postgres://USER:PASSWORD@db:5432/shop",
		"Data Source=db;Initial Catalog=shop;User ID=app;Password=HUSH":          "Npgsql; write postgres://USER:PASSWORD@db:5432/shop",
		"Driver={PostgreSQL Unicode};Server=db;Database=shop;Uid=app;Pwd=HUSH;":  "ODBC; write postgres://USER:PASSWORD@db:5432/shop",
		"Host=db":                            "the parameter Host has capital letters, and so is none of PostgreSQL's: write host",
		"Host=db Username=app Password=HUSH": "write host",
		"postgres://app:HUSH@db/shop?sslMode=require":                          "write sslmode",
		"postgres://app:HUSH@db/shop?ssl_mode=require":                         "the parameter ssl_mode is another driver's: write sslmode",
		"postgres://app:HUSH@db/shop?target_session_attrs=master":              "target_session_attrs is invalid: write read-write",
		"host=db user=app password=HUSH sslmode=REQUIRE":                       "sslmode is invalid: write disable",
		"host=db user=app password=HUSH sslrootcert=/nope sslmode=verify-full": "open /nope: no such file",
		"host=db user=app password=HU SH":                                      "a value with spaces stands in single quotes",
		"pgsql://app:HUSH@db/shop":                                             "the scheme pgsql:// is another program's; write postgres://",
		"POSTGRES://app:HUSH@db/shop":                                          "the scheme has capital letters: write postgres://",
		"prisma+postgres://accelerate.example/?k=HUSH":                         "Prisma's own proxy",
		`"postgres://app:HUSH@db/shop"`:                                        "leave the quotes out",
		"psql 'postgres://app:HUSH@db/shop'":                                   "leave out psql",
		"postgres://app:p@HUSH@db/shop":                                        "an @ in user or password is written %40",
		"postgres://app:HU/SH@db/shop":                                         "special characters are percent-encoded",
		"postgres://app:HU%SH@db/shop":                                         "special characters are percent-encoded",
		"postgresql+asyncpg://app:HUSH@db/shop":                                "write postgres://USER:PASSWORD@HOST:5432/DATABASE",
		"postgres://app:HUSH@db/shop?sslmode=require&ssl=true":                 "the parameter ssl is another driver's: write sslmode=require",
		"postgres://app:HUSH@db/shop?sslaccept=strict":                         "the parameter sslaccept is another driver's",
		"postgres://app:HUSH@db/shop?gssencmode=require":                       "no GSSAPI encryption",
		"postgres://db/shop?username=app&password=HUSH":                        "the parameter username is another driver's: write user",
		"host=db username=app password=HUSH":                                   "write user",
		"postgres://app:HUSH@db/shop?sslmode=no-verify&connection_limit=5":     "sslmode is invalid",
	} {
		_, err := ReadConfig(map[string]string{"DATABASE_URL": given})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "HUSH") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v\nwant %s", given, err, want)
		}
	}
}
