package dpop

// replayEntry is an id and when its time is over, in nanoseconds.
type replayEntry struct {
	key   replayKey
	until int64
}

// replayChunk makes a chunk 3 KiB, which the allocator hands out without loss.
const replayChunk = 128

// replayQueue is a binary heap, the entry whose time is over first at its top. It grows and shrinks by chunks: a slice
// would be copied as a whole now and then, while a request waits.
type replayQueue struct {
	chunks []*[replayChunk]replayEntry
	size   int
}

func (q *replayQueue) at(i int) *replayEntry { return &q.chunks[i/replayChunk][i%replayChunk] }

// first is the entry whose time is over first; the queue must not be empty.
func (q *replayQueue) first() *replayEntry { return q.at(0) }

func (q *replayQueue) push(e replayEntry) {
	if q.size == len(q.chunks)*replayChunk {
		q.chunks = append(q.chunks, new([replayChunk]replayEntry))
	}
	i := q.size
	q.size++
	for i > 0 {
		parent := (i - 1) / 2
		if q.at(parent).until <= e.until {
			break
		}
		*q.at(i) = *q.at(parent)
		i = parent
	}
	*q.at(i) = e
}

// pop removes and returns the first entry; the queue must not be empty.
func (q *replayQueue) pop() replayEntry {
	top := *q.first()
	q.size--
	last := *q.at(q.size)
	i := 0
	for {
		child := 2*i + 1
		if child >= q.size {
			break
		}
		if right := child + 1; right < q.size && q.at(right).until < q.at(child).until {
			child = right
		}
		if last.until <= q.at(child).until {
			break
		}
		*q.at(i) = *q.at(child)
		i = child
	}
	*q.at(i) = last
	// One chunk stays in reserve, so that a queue at the edge of one doesn't allocate with every id.
	if n := (q.size+replayChunk-1)/replayChunk + 1; n < len(q.chunks) {
		q.chunks[len(q.chunks)-1] = nil
		q.chunks = q.chunks[:len(q.chunks)-1]
	}
	return top
}
