package report

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"

	"github.com/seed-171ab058/popauth/bench"
)

//go:embed chart.svg.tmpl
var drawing string

// The layout, in pixels.
const (
	chartWidth  = 980
	margin      = 24
	names       = 190 // where the names of the rows end
	panelLeft   = 200
	panelWidth  = 250
	valueWidth  = 44 // right of the longest bar
	rowHeight   = 24
	barHeight   = 14
	headHeight  = 76 // of a section, above its rows
	footHeight  = 40 // below its rows
	lastLine    = 34
	letterDrop  = 12 // from a bar's top to its text's line
	valueMargin = 6
)

// picture is what the template draws.
type picture struct {
	Width, Height, Left, Names, BarHeight int
	Foot                                  string
	Sections                              []section
}

type section struct {
	Title, Note string
	Y           int
	Panels      []panel
}

type panel struct {
	Title                 string
	X, HeadY, Top, Bottom int
	OneX                  float64
	Bars                  []bar
}

type bar struct {
	Name, Label, Class         string
	Named                      bool
	X, Y, TextY                int
	Width, LowX, HighX, ValueX float64
	MiddleY                    float64
}

// figure is one row of a panel.
type figure struct {
	name  string
	ratio bench.Ratio
}

// Chart writes docs/performance.svg. Its colours follow the reader's preference for light or dark.
func (r *Results) Chart(w io.Writer) error {
	p := picture{Width: chartWidth, Left: margin, Names: names, BarHeight: barHeight}
	p.Foot = fmt.Sprintf("Medians; thin lines are quartiles. %s, %s, %s.", r.Machine.Go, strings.TrimSpace(r.Machine.CPU), r.Date)
	y := 0
	add := func(title, note string, one float64, panels map[string][]figure) {
		s := section{Title: title, Note: note, Y: y + margin + 12}
		rows := 0
		longest := one
		for _, figures := range panels {
			rows = max(rows, len(figures))
			for _, f := range figures {
				longest = max(longest, f.ratio.High)
			}
		}
		for i, a := range bench.Algorithms {
			if panels[a] == nil {
				continue
			}
			top := y + margin + headHeight
			s.Panels = append(s.Panels, newPanel(a, i, top, rows, longest, panels[a]))
		}
		p.Sections = append(p.Sections, s)
		y += headHeight + rows*rowHeight + footHeight
	}
	add("Time of a request, as a multiple of verifying its token's signature",
		"By the token alone, which is all that the others read. 1 is the signature and nothing else. Lower is better.", 1, r.tokenFigures())
	add("Requests per second of a TLS server, as a part of those without middleware",
		"With client certificates, on one processor. popauth and golang-jwt + keyfunc check the whole chain, the others the token. "+
			"Higher is better.", 1, r.serverFigures())
	p.Height = y + margin + lastLine
	t, err := template.New("performance.svg").Funcs(template.FuncMap{
		"plus": func(a, b int) int { return a + b }, "minus": func(a, b int) int { return a - b },
	}).Parse(drawing)
	if err != nil {
		return err
	}
	return t.Execute(w, p)
}

func newPanel(title string, column, top, rows int, longest float64, figures []figure) panel {
	x := panelLeft + column*(panelWidth+6)
	scale := (panelWidth - valueWidth - valueMargin) / longest
	p := panel{Title: title, X: x, HeadY: top - 12, Top: top - 4, Bottom: top + rows*rowHeight, OneX: tenth(float64(x) + scale)}
	for i, f := range figures {
		y := top + i*rowHeight
		b := bar{
			Name: f.name, Named: column == 0, Label: short(f.ratio.Median), Class: "bar",
			X: x, Y: y, TextY: y + letterDrop, MiddleY: float64(y) + barHeight/2.0,
			Width: tenth(max(1, scale*f.ratio.Median)),
			LowX:  tenth(float64(x) + scale*f.ratio.Low), HighX: tenth(float64(x) + scale*f.ratio.High),
		}
		b.ValueX = max(b.HighX, float64(x)+b.Width) + valueMargin
		switch f.name {
		case Popauth:
			b.Class = "own"
		case Repeated:
			b.Class = "again"
		}
		p.Bars = append(p.Bars, b)
	}
	return p
}

func tenth(x float64) float64 { return float64(int(x*10+0.5)) / 10 }

func short(x float64) string {
	if x < 0.1 {
		return fmt.Sprintf("%.3f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// tokenFigures are popauth's two and then the others, the fastest first.
func (r *Results) tokenFigures() map[string][]figure {
	order := []string{Repeated, Popauth}
	var peers []bench.Sample
	for _, s := range r.Token[bench.Algorithms[0]] {
		if isPeer(s.Name) {
			peers = append(peers, s)
		}
	}
	slices.SortStableFunc(peers, func(a, b bench.Sample) int { return int(1000 * (a.Ratio.Median - b.Ratio.Median)) })
	for _, s := range peers {
		order = append(order, s.Name)
	}
	all := map[string][]figure{}
	for _, a := range bench.Algorithms {
		for _, name := range order {
			all[a] = append(all[a], figure{name, Find(r.Token[a], name).Ratio})
		}
	}
	return all
}

// serverFigures are popauth's two, the signature alone and the others.
func (r *Results) serverFigures() map[string][]figure {
	all := map[string][]figure{}
	for _, s := range r.Servers {
		if s.Algorithm != "" {
			all[s.Algorithm] = append(all[s.Algorithm], figure{s.Name, s.OfNone})
		}
	}
	rank := func(f figure) int { return max(0, slices.Index([]string{Repeated, Popauth, signature}, f.name)+1) }
	for _, figures := range all {
		slices.SortStableFunc(figures, func(a, b figure) int {
			x, y := rank(a), rank(b)
			if x == 0 || y == 0 { // those without a rank come last
				return y - x
			}
			return x - y
		})
	}
	return all
}
