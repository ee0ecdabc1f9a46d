package proxycheck

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// directive is one of nginx's configuration, with its block if it has one.
type directive struct {
	name  string
	args  []string
	line  string // file:line
	block []*directive
	outer *directive
}

// nginxFiles are texts by the names of their files. The first is the one that includes the others.
type nginxFiles struct {
	order []string
	texts map[string]string
	whole bool // it is a dump: what a pattern doesn't find isn't there
}

var dumped = regexp.MustCompile(`(?m)^# configuration file (.+):$`)

// readNginxFiles takes a dump of nginx -T apart. Any other text is one file.
func readNginxFiles(name, text string) nginxFiles {
	f := nginxFiles{texts: map[string]string{}}
	at := dumped.FindAllStringSubmatchIndex(text, -1)
	if len(at) == 0 {
		f.order, f.texts[name] = []string{name}, text
		return f
	}
	f.whole = true
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		file := text[m[2]:m[3]]
		f.order = append(f.order, file)
		f.texts[file] = strings.TrimPrefix(text[m[1]:end], "\n")
	}
	return f
}

// included are the files that a pattern means, in the order in which nginx reads them.
func (f nginxFiles) included(pattern string) []string {
	if !path.IsAbs(pattern) {
		pattern = path.Join(path.Dir(f.order[0]), pattern)
	}
	var all []string
	for _, name := range f.order {
		if ok, err := path.Match(pattern, name); err == nil && ok {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

const (
	maxNginxDepth = 20
	maxDirectives = 100_000
)

// nginxReader reads as ngx_conf_read_token does. No other parser in Go that is released is kept up.
type nginxReader struct {
	files  nginxFiles
	count  int
	unread []string // includes that nothing was found for
}

func (n *nginxReader) read(file string, outer *directive, depth int) ([]*directive, error) {
	if depth > maxNginxDepth {
		return nil, fmt.Errorf("%s: includes, or blocks, more than %d deep", file, maxNginxDepth)
	}
	t := &nginxTokens{file: file, text: n.files.texts[file], line: 1}
	list, err := n.block(t, outer, depth)
	if err != nil {
		return nil, err
	}
	if t.at < len(t.text) {
		return nil, fmt.Errorf("%s:%d: a closing brace too many", t.file, t.line)
	}
	return list, nil
}

// block reads directives up to the closing brace, or the end of the file.
func (n *nginxReader) block(t *nginxTokens, outer *directive, depth int) ([]*directive, error) {
	if depth > maxNginxDepth {
		return nil, fmt.Errorf("%s: blocks more than %d deep", t.file, maxNginxDepth)
	}
	var list []*directive
	for {
		words, end, line, err := t.statement()
		if err != nil {
			return nil, err
		}
		if len(words) == 0 {
			if end == 0 && outer != nil && depth > 0 && t.depth > 0 {
				return nil, fmt.Errorf("%s:%d: the file ends within a block", t.file, t.line)
			}
			return list, nil // at the end, or at a brace
		}
		if n.count++; n.count > maxDirectives {
			return nil, fmt.Errorf("%s: more than %d directives", t.file, maxDirectives)
		}
		d := &directive{name: words[0], args: words[1:], line: fmt.Sprintf("%s:%d", t.file, line), outer: outer}
		switch {
		case end == '{' && strings.HasSuffix(d.name, "_by_lua_block"):
			return nil, fmt.Errorf("%s: %s has Lua in it, whose effect on headers nobody can tell from here", d.line, d.name)
		case end == '{':
			t.depth++
			if d.block, err = n.block(t, d, depth+1); err != nil {
				return nil, err
			}
			t.depth--
		case d.name == "include" && len(d.args) == 1:
			more, err := n.include(d, outer, depth)
			if err != nil {
				return nil, err
			}
			list = append(list, more...)
			continue
		}
		list = append(list, d)
	}
}

func (n *nginxReader) include(d, outer *directive, depth int) ([]*directive, error) {
	files := n.files.included(d.args[0])
	if len(files) == 0 && !n.files.whole && path.Base(d.args[0]) != "mime.types" {
		n.unread = append(n.unread, d.line+" include "+d.args[0])
	}
	var list []*directive
	for _, file := range files {
		more, err := n.read(file, outer, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

// nginxTokens are the words of one file.
type nginxTokens struct {
	file, text      string
	at, line, depth int
}

// statement reads words up to ; or {. Without words it is at a closing brace, or at the end.
func (t *nginxTokens) statement() (words []string, end byte, line int, err error) {
	for {
		t.space()
		if t.at == len(t.text) {
			if len(words) > 0 {
				return nil, 0, 0, fmt.Errorf("%s:%d: the file ends within a directive", t.file, t.line)
			}
			return nil, 0, t.line, nil
		}
		switch c := t.text[t.at]; c {
		case ';', '{':
			t.at++
			if len(words) == 0 {
				return nil, 0, 0, fmt.Errorf("%s:%d: %q without a directive", t.file, t.line, c)
			}
			return words, c, line, nil
		case '}':
			if len(words) > 0 {
				return nil, 0, 0, fmt.Errorf("%s:%d: a brace within a directive", t.file, t.line)
			}
			if t.depth == 0 {
				return nil, 0, t.line, nil // read finds it
			}
			t.at++
			return nil, c, t.line, nil
		}
		if len(words) == 0 {
			line = t.line
		}
		word, err := t.word()
		if err != nil {
			return nil, 0, 0, fmt.Errorf("%s:%d: %w", t.file, t.line, err)
		}
		words = append(words, word)
	}
}

func (t *nginxTokens) space() {
	for t.at < len(t.text) {
		switch t.text[t.at] {
		case '\n':
			t.line++
			t.at++
		case ' ', '\t', '\r':
			t.at++
		case '#':
			for t.at < len(t.text) && t.text[t.at] != '\n' {
				t.at++
			}
		default:
			return
		}
	}
}

// word reads a quoted word, or a bare one, in which a quote is a character like any other and ${…} no brace.
func (t *nginxTokens) word() (string, error) {
	var b strings.Builder
	quote := t.text[t.at]
	if quoted := quote == '"' || quote == '\''; quoted {
		t.at++
		for t.at < len(t.text) && t.text[t.at] != quote {
			t.char(&b)
		}
		if t.at == len(t.text) {
			return "", errors.New("a quote that isn't closed")
		}
		t.at++
		return b.String(), nil
	}
	for t.at < len(t.text) && !strings.ContainsRune(" \t\r\n;{", rune(t.text[t.at])) {
		if strings.HasPrefix(t.text[t.at:], "${") {
			b.WriteString("${")
			t.at += 2
			for t.at < len(t.text) && t.text[t.at] != '}' && t.text[t.at] != '\n' {
				t.char(&b)
			}
			if t.at < len(t.text) && t.text[t.at] == '}' {
				t.char(&b)
			}
			continue
		}
		t.char(&b)
	}
	return b.String(), nil
}

// char takes one character, or the one behind a backslash where that stands for something.
func (t *nginxTokens) char(b *strings.Builder) {
	c := t.text[t.at]
	if c == '\n' {
		t.line++
	}
	t.at++
	if c == '\\' && t.at < len(t.text) {
		switch next := t.text[t.at]; next {
		case '"', '\'', '\\':
			c = next
			t.at++
		case 't', 'r', 'n':
			c = map[byte]byte{'t': '\t', 'r': '\r', 'n': '\n'}[next]
			t.at++
		default: // both stay, and next ends nothing
			b.WriteByte(c)
			c = next
			t.at++
			if c == '\n' {
				t.line++
			}
		}
	}
	b.WriteByte(c)
}
