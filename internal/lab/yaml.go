package lab

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// YAML reads the documents of a text in the part of YAML in which package proxy writes for Kubernetes, and refuses all else: mappings
// and lists in block style, strings in double quotes as JSON has them, and plain words, which are numbers and booleans too.
func YAML(text string) (documents []any, err error) {
	y := &yamlReader{}
	for line := range strings.Lines(text + "\n---\n") {
		line = strings.TrimSuffix(line, "\n")
		content := strings.TrimLeft(line, " ")
		switch {
		case line == "---":
			if len(y.lines) > 0 {
				document, err := y.block(y.lines[0].indent)
				if err != nil {
					return nil, err
				}
				if len(y.lines) > 0 {
					return nil, fmt.Errorf("yaml: %q stands too far to the left", y.lines[0].text)
				}
				documents = append(documents, document)
			}
		case content == "" || content[0] == '#':
		default:
			y.lines = append(y.lines, yamlLine{len(line) - len(content), content})
		}
	}
	return documents, nil
}

type yamlLine struct {
	indent int
	text   string
}

type yamlReader struct{ lines []yamlLine }

// block reads the lines that stand at one indent, and what belongs to each.
func (y *yamlReader) block(indent int) (any, error) {
	if strings.HasPrefix(y.lines[0].text, "- ") {
		return y.list(indent)
	}
	all := map[string]any{}
	for len(y.lines) > 0 && y.lines[0].indent >= indent {
		if y.lines[0].indent > indent {
			return nil, fmt.Errorf("yaml: %q stands too far to the right", y.lines[0].text)
		}
		key, rest, err := yamlKey(y.lines[0].text)
		if err != nil {
			return nil, err
		}
		if _, twice := all[key]; twice {
			return nil, fmt.Errorf("yaml: %q twice", key)
		}
		y.lines = y.lines[1:]
		switch {
		case rest != "":
			all[key], err = yamlScalar(rest)
		case len(y.lines) > 0 && (y.lines[0].indent > indent || y.lines[0].indent == indent && strings.HasPrefix(y.lines[0].text, "- ")):
			all[key], err = y.block(y.lines[0].indent)
		default:
			err = fmt.Errorf("yaml: nothing behind %q", key)
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (y *yamlReader) list(indent int) (any, error) {
	var all []any
	for len(y.lines) > 0 && y.lines[0].indent == indent {
		content, ok := strings.CutPrefix(y.lines[0].text, "- ")
		if !ok {
			break // the key after a list that stands as far to the left as its own
		}
		var item any
		var err error
		if _, _, keyed := yamlKey(content); keyed == nil {
			y.lines[0] = yamlLine{indent + 2, content}
			item, err = y.block(indent + 2)
		} else {
			item, err = yamlScalar(content)
			y.lines = y.lines[1:]
		}
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	return all, nil
}

// yamlKey splits "key: value" and "key:".
func yamlKey(text string) (key, rest string, err error) {
	if text[0] == '"' {
		d := json.NewDecoder(strings.NewReader(text))
		if err := d.Decode(&key); err != nil {
			return "", "", err
		}
		rest = text[d.InputOffset():]
	} else {
		end := strings.IndexFunc(text, func(c rune) bool { return !isYAMLWord(c) })
		if end <= 0 {
			return "", "", fmt.Errorf("yaml: no key in %q", text)
		}
		key, rest = text[:end], text[end:]
	}
	if rest != ":" && !strings.HasPrefix(rest, ": ") {
		return "", "", fmt.Errorf("yaml: no colon after the key in %q", text)
	}
	return key, strings.TrimPrefix(rest[1:], " "), nil
}

func yamlScalar(text string) (any, error) {
	if text[0] == '"' {
		var s string
		err := json.Unmarshal([]byte(text), &s)
		return s, err
	}
	if n, err := strconv.Atoi(text); err == nil {
		return n, nil
	}
	switch lower := strings.ToLower(text); {
	case text == "true", text == "false":
		return text == "true", nil
	case lower == "yes", lower == "no", lower == "on", lower == "off", lower == "null", lower == "true", lower == "false",
		text[0] == '-', strings.ContainsFunc(text, func(c rune) bool { return !isYAMLWord(c) }):
		return nil, fmt.Errorf("yaml: %q needs quotes", text)
	}
	return text, nil
}

func isYAMLWord(c rune) bool {
	return c == '-' || c == '_' || c == '.' || c == '/' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
