package captured

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// harRequest is the request of an entry (HAR 1.2).
type harRequest struct {
	Method  string `json:"method"`
	URL     string `json:"url"`
	Headers []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"headers"`
}

type harEntry struct {
	Request  *harRequest `json:"request"`
	Response struct {
		Status int `json:"status"`
	} `json:"response"`
}

// readHAR reads a HAR file, one entry of it, or the request of one. No member may be there twice.
func readHAR(b []byte, entry int) (*Request, error) {
	var file struct {
		Log *struct {
			Entries []harEntry `json:"entries"`
		} `json:"log"`
		harEntry
		Method string `json:"method"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		var at *jsontext.SyntacticError
		if errors.As(err, &at) {
			return nil, fmt.Errorf("no HAR file: JSON that is wrong or ambiguous at byte %d", at.ByteOffset)
		}
		return nil, errors.New("no HAR file: members of other types than HAR 1.2 has")
	}
	one := file.Request
	switch {
	case file.Log != nil:
		var err error
		if one, err = chosen(file.Log.Entries, entry); err != nil {
			return nil, err
		}
	case entry > 1:
		return nil, fmt.Errorf("entry %d: this is one entry, and no list", entry)
	case one == nil && file.Method != "":
		one = &harRequest{}
		if err := json.Unmarshal(b, one); err != nil {
			return nil, errors.New("no request of a HAR file")
		}
	}
	if one == nil {
		return nil, errors.New("no HAR file: want log.entries, an entry or its request")
	}
	headers := make([]pair, 0, len(one.Headers))
	named := false
	for _, h := range one.Headers {
		headers = append(headers, pair{h.Name, h.Value})
		named = named || strings.EqualFold(h.Name, "Authorization")
	}
	r, err := made("HAR", one.Method, one.URL, headers)
	if err != nil {
		return nil, fmt.Errorf("HAR: %w", err)
	}
	if !named {
		r.Notes = append(r.Notes, "the entry has no Authorization: browsers leave credentials out of a HAR file unless it is saved "+
			"with sensitive data")
	}
	return r, nil
}

func chosen(entries []harEntry, entry int) (*harRequest, error) {
	if entry == 0 && len(entries) == 1 {
		entry = 1
	}
	if entry >= 1 && entry <= len(entries) && entries[entry-1].Request != nil {
		return entries[entry-1].Request, nil
	}
	text := fmt.Sprintf("want the number of an entry, of %d:", len(entries))
	for i, e := range entries {
		if i == 20 {
			text += " …"
			break
		}
		if e.Request != nil {
			text += fmt.Sprintf(" %d: %.10s %.100s (%d)", i+1, e.Request.Method, withoutQuery(e.Request.URL), e.Response.Status)
		}
	}
	return nil, errors.New(text)
}

func withoutQuery(s string) string {
	if u, err := url.Parse(s); err == nil {
		return u.Scheme + "://" + u.Host + u.EscapedPath()
	}
	return "a URL that is none"
}
