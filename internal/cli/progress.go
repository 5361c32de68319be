package cli

import (
	"io"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// A progress is a bar on standard error while a command works; nothing when that is
// not a terminal. It is safe for concurrent use.
type progress struct {
	bars *mpb.Progress
	bar  *mpb.Bar
	once sync.Once
}

func (c *common) progress(title string) *progress {
	if !isTerminal(c.Err) {
		return &progress{}
	}
	p := &progress{bars: mpb.New(mpb.WithOutput(c.Err), mpb.WithWidth(40))}
	p.bar = p.bars.New(0, mpb.BarStyle().Lbound("").Filler("━").Tip("━").Padding("─").Rbound(""),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(title+"  ")),
		mpb.AppendDecorators(
			decor.Any(func(st decor.Statistics) string { return byteCount(st.Current) + " / " + byteCount(st.Total) }, decor.WCSyncSpace),
			decor.AverageSpeed(decor.SizeB1000(0), "% .0f", decor.WCSyncSpace),
			decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace), ""),
		))
	return p
}

func (p *progress) total(n int64) {
	if p.bar != nil {
		p.bar.SetTotal(n, false)
	}
}

func (p *progress) add(n int64) {
	if p.bar != nil {
		p.bar.IncrInt64(n)
	}
}

func (p *progress) at(n int64) {
	if p.bar != nil {
		p.bar.SetCurrent(n)
	}
}

// end removes the bar.
func (p *progress) end() {
	if p.bar != nil {
		p.once.Do(func() {
			p.bar.Abort(true)
			p.bars.Wait()
		})
	}
}

// reader counts what is read from r.
func (p *progress) reader(r io.Reader) io.Reader {
	if p.bar == nil {
		return r
	}
	return countingReader{r, p}
}

type countingReader struct {
	r io.Reader
	p *progress
}

func (c countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.p.add(int64(n))
	return n, err
}
