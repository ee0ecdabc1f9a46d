package pages_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)`)
	heading = regexp.MustCompile(`^#{1,6} +(.*?) *#*$`)
	fence   = regexp.MustCompile("^ *(```|~~~)")
	code    = regexp.MustCompile("`[^`]*`")
	anchor  = regexp.MustCompile(`<a (?:id|name)="([^"]*)"`)
)

// Every link within the repository leads to a file that is there, and to a heading of it; and the index leads to every page.
func TestLinks(t *testing.T) {
	root := filepath.Join("..", "..")
	pages := map[string][]string{} // by path: the lines outside of code blocks
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (name == "node_modules" || name == "testdata" || strings.HasPrefix(name, ".") && name != ".."):
			return filepath.SkipDir
		case !strings.HasSuffix(name, ".md"):
			return nil
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		pages[filepath.ToSlash(relative)], err = prose(file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string]bool{}
	for page, lines := range pages {
		for _, line := range lines {
			for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(line, "``"), -1) {
				target, fragment, _ := strings.Cut(m[1], "#")
				if strings.Contains(target, ":") {
					continue // of somewhere else
				}
				to := page
				if target != "" {
					to = path.Join(path.Dir(page), target)
				}
				if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(to))); err != nil {
					t.Errorf("%s: %s is not there", page, m[1])
				} else if fragment != "" && !slices.Contains(anchors(pages[to]), fragment) {
					t.Errorf("%s: %s has no heading for #%s", page, to, fragment)
				}
				if page == "docs/README.md" {
					linked[to] = true
				}
			}
		}
	}
	for page := range pages {
		if strings.HasPrefix(page, "docs/") && page != "docs/README.md" && !linked[page] {
			t.Errorf("docs/README.md doesn't lead to %s", page)
		}
	}
	if len(pages) < 20 {
		t.Errorf("got %d pages, want all", len(pages))
	}
}

func prose(file string) (lines []string, err error) {
	text, err := os.ReadFile(file)
	inside := false
	for line := range strings.Lines(string(text)) {
		if fence.MatchString(line) {
			inside = !inside
		} else if !inside {
			lines = append(lines, strings.TrimRight(line, "\r\n"))
		}
	}
	return lines, err
}

// anchors are what GitHub makes of headings: lower case, no punctuation, hyphens for spaces, a number if there are several.
func anchors(lines []string) (all []string) {
	count := map[string]int{}
	for _, line := range lines {
		for _, m := range anchor.FindAllStringSubmatch(line, -1) {
			all = append(all, m[1])
		}
		m := heading.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		text := link.ReplaceAllString(m[1], "]")
		slug := strings.Map(func(c rune) rune {
			switch {
			case c == ' ':
				return '-'
			case c == '-', c == '_', unicode.IsLetter(c), unicode.IsNumber(c):
				return unicode.ToLower(c)
			}
			return -1
		}, text)
		if n := count[slug]; n > 0 {
			all = append(all, slug+"-"+string(rune('0'+n)))
		} else {
			all = append(all, slug)
		}
		count[slug]++
	}
	return all
}
