package backup

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"
)

// Journal remembers in a file which blobs were moved, and under which keys, so that a
// move which was broken off goes on.
type Journal struct {
	mu   sync.Mutex
	file *os.File
	keys map[digest.Digest]string
}

// journalLine is one line: the first says where blobs go, the others which went.
type journalLine struct {
	To     string        `json:"to,omitempty"`
	Digest digest.Digest `json:"digest,omitempty"`
	Key    string        `json:"key,omitempty"`
}

// OpenJournal goes on with the journal in a file, or begins it. One of a move to
// elsewhere is an error.
func OpenJournal(path, to string) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the journal of the move: %w", err)
	}
	j := &Journal{file: file, keys: make(map[digest.Digest]string)}
	begun, err := j.read()
	switch {
	case err == nil && begun == "":
		err = j.write(journalLine{To: to})
	case err == nil && begun != to:
		err = fmt.Errorf("a move to %s was begun and not finished: finish that first, or remove %s to give it up", begun, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the journal of the move: %w", err), file.Close())
	}
	return j, nil
}

// read tells where the blobs went so far. What follows the last whole line was cut
// off by a crash.
func (j *Journal) read() (to string, err error) {
	lines := bufio.NewReader(j.file)
	var whole int64
	for {
		text, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return to, j.file.Truncate(whole)
		}
		if err != nil {
			return "", err
		}
		whole += int64(len(text))
		var line journalLine
		if err := json.Unmarshal(text, &line); err != nil {
			return "", fmt.Errorf("%s is damaged: %w; remove it to begin anew", j.file.Name(), err)
		}
		if line.To != "" {
			to = line.To
		} else {
			j.keys[line.Digest] = line.Key
		}
	}
}

func (j *Journal) write(line journalLine) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = j.file.Write(append(text, '\n'))
	return err
}

// add remembers that a blob was moved.
func (j *Journal) add(d digest.Digest, key string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.keys[d] = key
	return j.write(journalLine{Digest: d, Key: key})
}

// Key is the new key of a blob; false when it was not moved.
func (j *Journal) Key(d digest.Digest) (string, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	key, moved := j.keys[d]
	return key, moved
}

// Close keeps the journal for the next time.
func (j *Journal) Close() error { return j.file.Close() }

// Remove ends the journal of a move that is finished.
func (j *Journal) Remove() error {
	if err := os.Remove(j.file.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
