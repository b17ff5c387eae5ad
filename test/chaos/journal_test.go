package chaos_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// op is what a step does to a file system.
type op int

const (
	opWrite  op = iota // bytes of a file
	opResize           // a file is cut or made longer
	opEnter            // a new file or folder gets its name
	opLeave            // a name goes
	opMove             // a name goes and another comes
	opSync             // a file's bytes, or a folder's names, are on the disk
)

// rootFolder is the number of the outermost folder.
const rootFolder = 1

// step is one operation on a file system whose files and folders have numbers.
type step struct {
	op     op
	node   int    // the file or folder
	folder int    // where the name is that comes or goes, node's own
	name   string // in that folder
	toward int    // the folder of a move's new name
	as     string // a move's new name
	holds  bool   // node is a folder
	// offset of a write in bytes; of a resize, the size; of a sync, how many steps
	// had been taken when it began.
	offset int64
	bytes  []byte
}

// journal is what happened to a file system, in order.
type journal struct {
	mu    sync.Mutex
	steps []step
}

func (j *journal) add(s step) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.steps = append(j.steps, s)
}

func (j *journal) length() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.steps)
}

// before are the first so many steps.
func (j *journal) before(count int) []step {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.steps[:count])
}

// platter is what a disk holds that loses power. It holds to POSIX's letter: a sync
// of a file makes its bytes durable and not its name, a sync of a folder the names in
// it and nothing below them. Only a rename is known to be atomic: the old name may
// outlive it and never goes before the new one has come.
type platter struct {
	steps   []step
	content map[int][]byte         // of files
	names   map[int]map[string]int // of folders
	waiting map[int][]int          // steps that await the sync of a file or folder
	arrived map[int]bool           // moves whose new name is durable
}

// powerLoss tells what is durable after these steps.
func powerLoss(steps []step) *platter {
	p := &platter{
		steps: steps, content: map[int][]byte{}, names: map[int]map[string]int{rootFolder: {}},
		waiting: map[int][]int{}, arrived: map[int]bool{},
	}
	for i, s := range steps {
		switch s.op {
		case opWrite, opResize:
			p.waiting[s.node] = append(p.waiting[s.node], i)
		case opSync:
			p.sync(s.node, int(s.offset))
		default:
			if s.holds && p.names[s.node] == nil {
				p.names[s.node] = map[string]int{}
			}
			for _, folder := range s.folders() {
				p.waiting[folder] = append(p.waiting[folder], i)
			}
		}
	}
	return p
}

// folders are those whose sync a change of names waits for, the new name's first.
func (s step) folders() []int {
	if s.op == opMove && s.toward != s.folder {
		return []int{s.toward, s.folder}
	}
	return []int{s.folder}
}

// sync applies what waits for a file or folder, of the steps before the given one.
func (p *platter) sync(node, covered int) {
	p.waiting[node] = slices.DeleteFunc(p.waiting[node], func(i int) bool {
		return i < covered && p.apply(i, node, p.steps[i].bytes)
	})
}

// apply makes a step durable, as far as it concerns the file or folder, and says
// whether it is now.
func (p *platter) apply(i, node int, bytes []byte) bool {
	s := p.steps[i]
	switch s.op {
	case opWrite:
		p.content[node] = overwrite(p.content[node], s.offset, bytes)
	case opResize:
		p.content[node] = resize(p.content[node], s.offset)
	case opEnter:
		p.names[node][s.name] = s.node
	case opLeave:
		delete(p.names[node], s.name)
	case opMove:
		return p.move(i, node)
	}
	return true
}

func (p *platter) move(i, folder int) bool {
	s := p.steps[i]
	if folder == s.toward {
		p.names[folder][s.as] = s.node
		p.arrived[i] = true
	}
	if folder != s.folder || !p.arrived[i] {
		return p.arrived[i]
	}
	if p.names[folder][s.name] == s.node {
		delete(p.names[folder], s.name)
	}
	return true
}

func overwrite(content []byte, offset int64, bytes []byte) []byte {
	if end := offset + int64(len(bytes)); int64(len(content)) < end {
		content = resize(content, end)
	}
	copy(content[offset:], bytes)
	return content
}

func resize(content []byte, size int64) []byte {
	if size <= int64(len(content)) {
		return content[:size:size]
	}
	return append(content, make([]byte, size-int64(len(content)))...)
}

// sector is what a disk writes whole or not at all, in bytes.
const sector = 512

// keepSome makes some of what was not synced durable all the same, in no order and
// torn, as a disk may.
func (p *platter) keepSome(rng *rand.Rand) {
	chance := []float64{0.1, 0.5, 0.9}[rng.IntN(3)]
	waits := map[int][]int{} // files or folders by step
	for node, steps := range p.waiting {
		for _, i := range steps {
			waits[i] = append(waits[i], node)
		}
	}
	for _, i := range slices.Sorted(maps.Keys(waits)) {
		s := p.steps[i]
		nodes := s.folders()
		if s.op == opWrite || s.op == opResize {
			nodes = []int{s.node}
		}
		for _, node := range nodes {
			if !slices.Contains(waits[i], node) || rng.Float64() > chance {
				continue
			}
			bytes := s.bytes
			if len(bytes) > sector && rng.IntN(3) == 0 {
				bytes = bytes[:sector*(1+rng.IntN(len(bytes)/sector))]
			}
			p.apply(i, node, bytes)
		}
	}
}

// lay writes the disk's contents into a folder that is there and empty.
func (p *platter) lay(folder string) error { return p.layFolder(rootFolder, folder) }

func (p *platter) layFolder(number int, path string) error {
	for name, node := range p.names[number] {
		at := filepath.Join(path, name)
		var err error
		if p.names[node] == nil {
			err = os.WriteFile(at, p.content[node], 0o600)
		} else if err = os.Mkdir(at, 0o700); err == nil {
			err = p.layFolder(node, at)
		}
		if err != nil {
			return fmt.Errorf("laying out what a disk holds: %w", err)
		}
	}
	return nil
}
