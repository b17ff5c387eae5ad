package blobtest

import (
	"testing"

	"github.com/opencontainers/go-digest"
)

func resumedUploads(t *testing.T, open Open) {
	t.Run("an upload goes on after a restart", func(t *testing.T) {
		resumedAfterRestart(t, open, 300_000, 100_001, 200_002)
	})
	t.Run("an upload of several parts goes on after a restart", func(t *testing.T) {
		resumedAfterRestart(t, open, severalParts+1<<20, 1<<20, 6<<20, 6<<20+1, severalParts)
	})
	t.Run("sha512 is asked for at the end of a resumed sha256 upload", func(t *testing.T) { resumedWithOtherAlgorithm(t, open) })
	t.Run("an upload is saved before its first byte", func(t *testing.T) { resumedEmpty(t, open) })
	t.Run("bytes written since the save are dropped", func(t *testing.T) { resumedAfterCrash(t, open) })
	t.Run("a save whose state is lost leaves the one before it good", func(t *testing.T) { resumedFromStateBefore(t, open) })
	t.Run("a resumed upload of several parts is canceled", func(t *testing.T) { canceledAfterResume(t, open) })
	t.Run("after the save nothing is written and a cancel does nothing", func(t *testing.T) { endedBySave(t, open) })
	t.Run("what has been canceled or committed cannot be resumed", func(t *testing.T) { resumedTooLate(t, open) })
	t.Run("a state that is none is an error", func(t *testing.T) { resumedFromNothing(t, open) })
}

// resumedAfterRestart saves at each of the offsets.
func resumedAfterRestart(t *testing.T, open Open, size int, offsets ...int) {
	dir := t.TempDir()
	p := content(5, size)
	state := save(t, create(t, open(t, dir), digest.SHA256))
	for _, end := range append(offsets, size) {
		upload := resume(t, open(t, dir), state)
		write(t, upload, p[upload.Size():end])
		if upload.Size() != int64(end) {
			t.Errorf("Size is %d, want %d", upload.Size(), end)
		}
		state = save(t, upload)
	}

	store := open(t, dir)
	key, err := resume(t, store, state).Commit(t.Context(), digest.FromBytes(p))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantBlob(t, store, key, p)
}

func resumedFromStateBefore(t *testing.T, open Open) {
	for _, size := range []int{1000, severalParts} {
		store := open(t, t.TempDir())
		p := content(13, size)
		upload := create(t, store, digest.SHA256)
		write(t, upload, p[:size/2])
		kept := save(t, upload)
		lost := resume(t, store, kept)
		write(t, lost, content(14, size/2))
		save(t, lost)

		upload = resume(t, store, kept)
		if upload.Size() != int64(size/2) {
			t.Errorf("Size is %d, want %d", upload.Size(), size/2)
		}
		write(t, upload, p[size/2:])
		key, err := upload.Commit(t.Context(), digest.FromBytes(p))
		if err != nil {
			t.Fatalf("Commit: %v", err)
		}
		wantBlob(t, store, key, p)
	}
}

func canceledAfterResume(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	upload := create(t, store, digest.SHA256)
	write(t, upload, content(15, severalParts))
	state := save(t, upload)
	if err := resume(t, store, state).Cancel(t.Context()); err != nil {
		t.Fatalf("Cancel: %v", err)
	}
	_, err := store.Resume(t.Context(), state)
	wantNotFound(t, "Resume after Cancel", err)
	wantNoBlobs(t, store)
}

func resumedWithOtherAlgorithm(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	for _, size := range []int{20_000, severalParts} {
		p := content(6, size)
		upload := create(t, store, digest.SHA256)
		write(t, upload, p[:size/2])
		upload = resume(t, store, save(t, upload))
		write(t, upload, p[size/2:])
		key, err := upload.Commit(t.Context(), digest.SHA512.FromBytes(p))
		if err != nil {
			t.Fatalf("Commit: %v", err)
		}
		wantBlob(t, store, key, p)
	}
}

func resumedEmpty(t *testing.T, open Open) {
	dir := t.TempDir()
	state := save(t, create(t, open(t, dir), digest.SHA256))
	store := open(t, dir)
	upload := resume(t, store, state)
	write(t, upload, []byte("first"))
	key, err := upload.Commit(t.Context(), digest.FromString("first"))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantBlob(t, store, key, []byte("first"))
}

func resumedAfterCrash(t *testing.T, open Open) {
	dir := t.TempDir()
	store := open(t, dir)
	upload := create(t, store, digest.SHA256)
	write(t, upload, []byte("saved "))
	state := save(t, upload)
	write(t, resume(t, store, state), []byte("lost in a crash, and longer than what follows"))

	store = open(t, dir)
	upload = resume(t, store, state)
	if upload.Size() != 6 {
		t.Errorf("Size is %d, want 6", upload.Size())
	}
	write(t, upload, []byte("sent again"))
	key, err := upload.Commit(t.Context(), digest.FromString("saved sent again"))
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantBlob(t, store, key, []byte("saved sent again"))
}

func endedBySave(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	upload := create(t, store, digest.SHA256)
	write(t, upload, []byte("saved"))
	state := save(t, upload)
	if _, err := upload.Write([]byte("late")); err == nil {
		t.Error("Write after Save succeeds")
	}
	if err := upload.Cancel(t.Context()); err != nil {
		t.Errorf("Cancel: %v", err)
	}
	if got := resume(t, store, state).Size(); got != 5 {
		t.Errorf("Size is %d, want 5", got)
	}
}

func resumedTooLate(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	canceled := save(t, create(t, store, digest.SHA256))
	if err := resume(t, store, canceled).Cancel(t.Context()); err != nil {
		t.Fatalf("Cancel: %v", err)
	}
	committed := save(t, create(t, store, digest.SHA256))
	if _, err := resume(t, store, committed).Commit(t.Context(), digest.FromString("")); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	for what, state := range map[string][]byte{"canceled": canceled, "committed": committed} {
		_, err := store.Resume(t.Context(), state)
		wantNotFound(t, what, err)
	}
}

func resumedFromNothing(t *testing.T, open Open) {
	store := open(t, t.TempDir())
	for _, state := range []string{"", "{}", "null", "not a state"} {
		if _, err := store.Resume(t.Context(), []byte(state)); err == nil {
			t.Errorf("Resume of %q succeeds", state)
		}
	}
}
