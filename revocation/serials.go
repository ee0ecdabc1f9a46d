package revocation

import (
	"bytes"
	"sort"

	"golang.org/x/crypto/cryptobyte"
)

// serials is a set of serial numbers, of which each takes its own bytes and one more: those of one length lie one behind
// the other, in order.
type serials struct {
	byLength map[int][]byte
	size     int
}

// certificateHold is the one reason that can end (RFC 5280, section 5.3.1).
const certificateHold = 6

// lengthSize is what numbers of one more length take beside themselves.
const lengthSize = 128

// newSerials reads the entries of a list, twice, so that it takes no more than it keeps. The byte behind each number
// tells whether the certificate is only on hold.
func newSerials(entries cryptobyte.String) (serials, error) {
	count := map[int]int{}
	if err := eachEntry(entries, func(number []byte, _ bool) { count[len(number)]++ }); err != nil {
		return serials{}, err
	}
	s := serials{byLength: make(map[int][]byte, len(count))}
	for length, n := range count {
		s.byLength[length] = make([]byte, 0, n*(length+1))
		s.size += n*(length+1) + lengthSize
	}
	err := eachEntry(entries, func(number []byte, hold bool) {
		last := byte(0)
		if hold {
			last = 1
		}
		s.byLength[len(number)] = append(append(s.byLength[len(number)], number...), last)
	})
	for length, all := range s.byLength {
		sort.Sort(&records{all, length + 1, make([]byte, length+1)}) // of two of one number, the one that is not on hold comes first
	}
	return s, err
}

// records sorts what lies one behind the other where it is.
type records struct {
	all   []byte
	width int
	spare []byte
}

func (r *records) at(i int) []byte    { return r.all[i*r.width : (i+1)*r.width] }
func (r *records) Len() int           { return len(r.all) / r.width }
func (r *records) Less(i, j int) bool { return bytes.Compare(r.at(i), r.at(j)) < 0 }

func (r *records) Swap(i, j int) {
	copy(r.spare, r.at(i))
	copy(r.at(i), r.at(j))
	copy(r.at(j), r.spare)
}

func (s serials) find(number string) (found, hold bool) {
	all, width := s.byLength[len(number)], len(number)+1
	at := width * sort.Search(len(all)/width, func(i int) bool {
		return bytes.Compare(all[i*width:(i+1)*width-1], []byte(number)) >= 0
	})
	if at == len(all) || string(all[at:at+width-1]) != number {
		return false, false
	}
	return true, all[at+width-1] == 1
}
