package chaos_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	// syncTakes is how long a sync takes. Whoever answers before it has ended is seen
	// to have answered before.
	syncTakes = 2 * time.Millisecond
	// unmountLimit bounds the end of a file system that nobody uses any more.
	unmountLimit = 20 * time.Second
)

// recorder is a file system in memory that writes down what is done to it. What it
// cannot write down, such as a hard link, it refuses.
type recorder struct {
	journal
	last atomic.Int64 // number of a file or folder
	slow atomic.Int64 // how long each write and each sync takes, in nanoseconds
	// dying is true from just after the program is killed: no sync ends any more.
	dying atomic.Bool
	halt  atomic.Pointer[halt]
}

// halt holds up whatever is done to a file system after so many steps.
type halt struct {
	after   int
	reached chan struct{}
	once    sync.Once // reached is closed
	over    chan struct{}
}

// mountRecorder mounts a new one at a new folder until the test ends. The process of
// the test itself must not touch what is below: it would wait for itself.
func mountRecorder(t *testing.T) (r *recorder, folder string) {
	t.Helper()
	r = &recorder{}
	folder, err := mountFolder(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	r.last.Store(rootFolder)
	second := time.Second
	server, err := fs.Mount(folder, &folderNode{disk: r, number: rootFolder}, &fs.Options{
		EntryTimeout: &second, AttrTimeout: &second,
		MountOptions: fuse.MountOptions{
			DirectMountStrict: true, DisableXAttrs: true, FsName: "recorder", Name: "larder",
			// The kernel's cache of a file that is mapped, SQLite's -shm, stays as it is.
			ExplicitDataCacheControl: true,
		},
	})
	if err != nil {
		t.Fatalf("mounting a file system through /dev/fuse, as root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", folder, err)
		}
		ended := make(chan struct{})
		go func() {
			server.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(unmountLimit):
			t.Errorf("%s is still in use %s after it was unmounted", folder, unmountLimit)
		}
		if err := os.Remove(folder); err != nil {
			t.Error(err)
		}
	})
	return r, folder
}

// forgettable are files that SQLite makes anew whatever is in them, and that it maps
// into memory, so that their writes come at any time.
func forgettable(name string) bool { return strings.HasSuffix(name, "-shm") }

// folderNode is a folder; its names are kept by go-fuse.
type folderNode struct {
	fs.Inode
	disk   *recorder
	number int
}

var (
	_ fs.NodeCreater   = (*folderNode)(nil)
	_ fs.NodeMkdirer   = (*folderNode)(nil)
	_ fs.NodeUnlinker  = (*folderNode)(nil)
	_ fs.NodeRmdirer   = (*folderNode)(nil)
	_ fs.NodeRenamer   = (*folderNode)(nil)
	_ fs.NodeFsyncer   = (*folderNode)(nil)
	_ fs.NodeGetattrer = (*folderNode)(nil)
	_ fs.NodeStatfser  = (*folderNode)(nil)
)

func (n *folderNode) Create(ctx context.Context, name string, _, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	file := &fileNode{disk: n.disk, number: int(n.disk.last.Add(1)), mode: mode, forgotten: forgettable(name)}
	file.attributes(&out.Attr)
	if !file.forgotten {
		n.disk.add(step{op: opEnter, node: file.number, folder: n.number, name: name})
	}
	return n.NewPersistentInode(ctx, file, fs.StableAttr{Mode: fuse.S_IFREG, Ino: uint64(file.number)}), nil, fuse.FOPEN_KEEP_CACHE, 0
}

func (n *folderNode) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	folder := &folderNode{disk: n.disk, number: int(n.disk.last.Add(1))}
	out.Mode = 0o700
	n.disk.add(step{op: opEnter, node: folder.number, folder: n.number, name: name, holds: true})
	return n.NewPersistentInode(ctx, folder, fs.StableAttr{Mode: fuse.S_IFDIR, Ino: uint64(folder.number)}), 0
}

func (n *folderNode) Unlink(_ context.Context, name string) syscall.Errno {
	if !forgettable(name) {
		n.disk.add(step{op: opLeave, folder: n.number, name: name})
	}
	return 0
}

func (n *folderNode) Rmdir(_ context.Context, name string) syscall.Errno {
	if folder := n.GetChild(name); folder != nil && len(folder.Children()) > 0 {
		return syscall.ENOTEMPTY
	}
	n.disk.add(step{op: opLeave, folder: n.number, name: name})
	return 0
}

func (n *folderNode) Rename(_ context.Context, name string, to fs.InodeEmbedder, as string, flags uint32) syscall.Errno {
	toward, ok := to.(*folderNode)
	child := n.GetChild(name)
	if !ok || child == nil || flags != 0 {
		return syscall.EINVAL
	}
	n.disk.add(step{
		op: opMove, node: int(child.StableAttr().Ino), holds: child.IsDir(), folder: n.number, name: name, toward: toward.number, as: as,
	})
	return 0
}

func (n *folderNode) Fsync(_ context.Context, _ fs.FileHandle, _ uint32) syscall.Errno {
	return n.disk.sync(n.number)
}

func (n *folderNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = 0o700
	return 0
}

// Statfs tells of more room than any test takes.
func (n *folderNode) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	const blocks = 32 << 20
	*out = fuse.StatfsOut{Bsize: 4096, Frsize: 4096, Blocks: blocks, Bfree: blocks, Bavail: blocks, Files: blocks, Ffree: blocks, NameLen: 255}
	return 0
}

// add records a step, and does not return from it when it is to be the last one.
func (r *recorder) add(s step) {
	r.journal.add(s)
	if h := r.halt.Load(); h != nil && r.length() >= h.after {
		h.once.Do(func() { close(h.reached) })
		<-h.over
	}
}

// sync is recorded when it ends, and covers what was recorded when it began.
func (r *recorder) sync(number int) syscall.Errno {
	covered := r.length()
	time.Sleep(syncTakes + time.Duration(r.slow.Load()))
	if r.dying.Load() {
		return syscall.EIO // which nobody lives to see
	}
	r.add(step{op: opSync, node: number, offset: int64(covered)})
	return 0
}

// kill kills the server, and whatever it was syncing is not synced.
func (r *recorder) kill(s *server) {
	_ = s.cmd.Process.Kill()
	r.dying.Store(true)
	if h := r.halt.Swap(nil); h != nil {
		close(h.over) // a process does not end before it is answered
	}
	s.kill()
	r.dying.Store(false)
}

// killAfter starts the server and kills it once so many steps have been recorded, or when
// work, which gets its URL, has returned. Of others that are under way, a step each may follow.
func (r *recorder) killAfter(steps int, s *server, work func(url string)) {
	h := &halt{after: steps, reached: make(chan struct{}), over: make(chan struct{})}
	r.halt.Store(h)
	s.launch()
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		select {
		case url := <-s.started:
			work(url)
		case <-s.ended:
		}
	}()
	select {
	case <-h.reached:
	case <-worked:
	case <-time.After(startLimit + stopLimit):
		s.t.Error("the server takes too long")
	}
	r.kill(s)
	<-worked
}

// fileNode is a file.
type fileNode struct {
	fs.Inode
	disk      *recorder
	number    int
	forgotten bool // nothing of it is recorded

	mu    sync.Mutex
	mode  uint32
	bytes []byte
}

var (
	_ fs.NodeOpener    = (*fileNode)(nil)
	_ fs.NodeReader    = (*fileNode)(nil)
	_ fs.NodeWriter    = (*fileNode)(nil)
	_ fs.NodeSetattrer = (*fileNode)(nil)
	_ fs.NodeGetattrer = (*fileNode)(nil)
	_ fs.NodeFsyncer   = (*fileNode)(nil)
)

func (f *fileNode) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_TRUNC != 0 {
		f.resize(0)
	}
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}

func (f *fileNode) Read(_ context.Context, _ fs.FileHandle, into []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fuse.ReadResultData(into[:copy(into, f.bytes[min(offset, int64(len(f.bytes))):])]), 0
}

func (f *fileNode) Write(_ context.Context, _ fs.FileHandle, bytes []byte, offset int64) (uint32, syscall.Errno) {
	if slow := f.disk.slow.Load(); slow > 0 && !f.forgotten {
		time.Sleep(time.Duration(slow))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes = overwrite(f.bytes, offset, bytes)
	if !f.forgotten {
		f.disk.add(step{op: opWrite, node: f.number, offset: offset, bytes: append([]byte(nil), bytes...)})
	}
	return uint32(len(bytes)), 0
}

func (f *fileNode) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		f.resize(int64(size))
	}
	f.mu.Lock()
	if mode, ok := in.GetMode(); ok {
		f.mode = mode
	}
	f.mu.Unlock()
	f.attributes(&out.Attr)
	return 0
}

func (f *fileNode) resize(size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes = resize(f.bytes, size)
	if !f.forgotten {
		f.disk.add(step{op: opResize, node: f.number, offset: size})
	}
}

func (f *fileNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.attributes(&out.Attr)
	return 0
}

func (f *fileNode) attributes(out *fuse.Attr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out.Mode, out.Size, out.Blocks, out.Nlink = f.mode, uint64(len(f.bytes)), uint64(len(f.bytes)+511)/512, 1
}

func (f *fileNode) Fsync(_ context.Context, _ fs.FileHandle, _ uint32) syscall.Errno {
	if f.forgotten {
		return 0
	}
	return f.disk.sync(f.number)
}
