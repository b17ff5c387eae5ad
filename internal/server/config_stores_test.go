package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const postgresURL = "postgres://me:s3cret@db.example/larder"

func (s sources) variable(name, value string) sources {
	if s.env == nil {
		s.env = map[string]string{}
	}
	s.env[name] = value
	return s
}

func (s sources) withKeys() sources {
	return s.variable("AWS_ACCESS_KEY_ID", "access").variable("AWS_SECRET_ACCESS_KEY", "s3cret")
}

func TestWhereEverythingIsKeptIsRead(t *testing.T) {
	const bucket = "s3://images/larder?endpoint=http%3A%2F%2F127.0.0.1%3A9000&path-style=true&region=us-east-1"
	tests := []struct {
		name              string
		given             sources
		database, storage string
	}{
		{"nothing given", sources{}, "", ""},
		{"a database in the file", withFile("database: " + postgresURL), postgresURL, ""},
		{"a database in a file of its own", withFile("databaseFile: db.txt").file("db.txt", postgresURL+"\n"), postgresURL, ""},
		{"a database in the environment", inEnvironment("LARDER_DATABASE", postgresURL), postgresURL, ""},
		{"the environment beats a file of its own", withFile("databaseFile: db.txt").file("db.txt", "postgres://other/larder").variable("LARDER_DATABASE", postgresURL), postgresURL, ""},
		{"a database without a password on the command line", onCommandLine("--database", "postgres://me@db/larder"), "postgres://me@db/larder", ""},
		{"an empty flag is the default", onCommandLine("--database", "").variable("LARDER_DATABASE", postgresURL), "", ""},
		{"storage in the file", withFile("storage: " + bucket).withKeys(), "", bucket},
		{"storage in the environment", inEnvironment("LARDER_STORAGE", bucket).withKeys(), "", bucket},
		{"storage with nothing on the disk", withFile("storage: s3://images?hot=0&region=r").withKeys(), "", "s3://images/?endpoint=https%3A%2F%2Fs3.amazonaws.com&region=r&hot=0"},
		{"storage with what it is used for", withFile("storage: s3://images?hot=500MiB&region=r&redirect=true").withKeys(), "", "s3://images/?endpoint=https%3A%2F%2Fs3.amazonaws.com&region=r&hot=524288000B&redirect=true"},
		{"storage on the command line", onCommandLine("--storage", bucket).withKeys(), "", bucket},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := tt.given.load(t)
			if err != nil {
				t.Fatal(err)
			}
			storage := ""
			if c.Storage != nil {
				storage = c.Storage.String()
				if c.Storage.AccessKey != "access" || c.Storage.SecretKey != "s3cret" {
					t.Error("the keys of the environment did not get there")
				}
			}
			if diff := cmp.Diff([]string{tt.database, tt.storage}, []string{string(c.Database), storage}); diff != "" {
				t.Errorf("database and storage (-want +got):\n%s", diff)
			}
			if printed := fmt.Sprintf("%v %+v", c, c); strings.Contains(printed, "s3cret") {
				t.Errorf("the configuration shows a secret: %s", printed)
			}
		})
	}
}

func TestAWrongPlaceToKeepThingsSaysSoWithoutItsSecrets(t *testing.T) {
	const (
		password  = "flag --database holds a password, which every user of this machine can read in the list of processes: give the URL in the environment variable LARDER_DATABASE, or the name of a file that holds it as databaseFile"
		malformed = "the database URL is malformed: write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with each of the signs @ / : ? # % in the password percent-encoded (@ is %40, / is %2F)"
	)
	tests := []struct {
		name  string
		given sources
		want  string
	}{
		{"a password on the command line", onCommandLine("--database", postgresURL), password},
		{"a password in key=value form", onCommandLine("--database", "host=db user=me password=s3cret"), password},
		{"a password in a query", onCommandLine("--database", "postgres://db/larder?user=me&Password=s3cret"), password},
		{"a password in a broken URL", onCommandLine("--database", "postgres://me:s3cret%zz@db/larder"), password},
		{"a database of another kind", inEnvironment("LARDER_DATABASE", "mysql://me:s3cret@db/larder"), "database (environment variable LARDER_DATABASE): " + malformed},
		{"a database's file that is not there", withFile("databaseFile: no.txt"), `databaseFile "no.txt" (larder.yaml line 1) cannot be read: open no.txt: file does not exist`},
		{"a database's file that holds something else", withFile("databaseFile: db.txt").file("db.txt", "s3cret"), "database (larder.yaml line 1, file db.txt): " + malformed},
		{"a database twice", withFile("database: "+postgresURL+"\ndatabaseFile: db.txt").file("db.txt", postgresURL), "databaseFile (larder.yaml line 2) stands beside database: keep one of the two"},
		{"storage without keys", withFile("storage: s3://bucket"), `storage "s3://bucket" (larder.yaml line 1) needs keys: set the environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`},
		{"storage with half of the keys", withFile("storage: s3://bucket").variable("AWS_ACCESS_KEY_ID", "access"), `storage "s3://bucket" (larder.yaml line 1) needs keys: set the environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY`},
		{"storage of another kind", onCommandLine("--storage", "gs://bucket"), "storage (flag --storage): the address of the object storage, gs://bucket: it does not have the form s3://BUCKET/PREFIX?endpoint=URL"},
		{"a size that is none", onCommandLine("--storage", "s3://bucket?hot=much"), `storage (flag --storage): hot is "much": write a size with its unit, for example 10GiB, or 0 for none`},
		{"a size without a unit", onCommandLine("--storage", "s3://bucket?hot=10"), `storage (flag --storage): hot is "10": write a size with its unit, for example 10GiB, or 0 for none`},
		{"a size that no disk has", onCommandLine("--storage", "s3://bucket?hot=9999999TiB"), `storage (flag --storage): hot is "9999999TiB": write a size with its unit, for example 10GiB, or 0 for none`},
		{"a redirect that is neither on nor off", onCommandLine("--storage", "s3://bucket?redirect=maybe"), `storage (flag --storage): redirect is "maybe": write true or false`},
		{"a setting of the storage that there is not", onCommandLine("--storage", "s3://bucket?cold=1"), `storage (flag --storage): the address of the object storage, s3://bucket: "cold" is none of endpoint, region and path-style, or is there twice`},
		{"keys in the storage's URL", onCommandLine("--storage", "s3://me:s3cret@bucket"), "storage (flag --storage): the address of the object storage, s3://bucket: keys do not belong into it: remove what is before the @"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.given.load(t)
			if err == nil {
				t.Fatal("it was accepted")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}
