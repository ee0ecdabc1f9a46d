package revocation

import (
	"bytes"
	"crypto/x509"
	"slices"
	"sort"
	"strings"
)

// serials is a set of serial numbers, of which each takes its own bytes and one more: those of one length lie one behind
// the other, in order.
type serials struct {
	byLength map[int][]byte
	size     int
}

// certificateHold is the one reason that can end (RFC 5280, section 5.3.1).
const certificateHold = 6

// newSerials reads the entries of a list. The byte behind each number tells whether the certificate is only on hold.
func newSerials(entries []x509.RevocationListEntry) serials {
	lengths := map[int][]string{}
	for _, e := range entries {
		number, hold := e.SerialNumber.Bytes(), byte(0)
		if e.ReasonCode == certificateHold {
			hold = 1
		}
		lengths[len(number)] = append(lengths[len(number)], string(append(number, hold)))
	}
	s := serials{byLength: make(map[int][]byte, len(lengths))}
	for length, all := range lengths {
		slices.Sort(all) // of two of one number, the one that is not on hold comes first
		s.byLength[length] = []byte(strings.Join(all, ""))
		s.size += len(all) * (length + 1)
	}
	return s
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
