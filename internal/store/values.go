package store

import (
	"strconv"
	"strings"
	"sync"
)

// valueTexts keeps the texts of statements with many rows of parameters, since each is
// needed again and again.
type valueTexts struct {
	mu    sync.RWMutex
	texts map[valueKey]string
}

type valueKey struct {
	head, casts, tail string
	columns, rows     int
	from              int // how many parameters come before
}

// text returns head, then so many rows "($1,$2),($3,$4)", then tail. casts, when not
// empty, names the types of the columns, separated by blanks: PostgreSQL needs them
// where a list of values stands for a table.
func (v *valueTexts) text(head, casts string, columns, rows int, tail string) string {
	return v.get(valueKey{head, casts, tail, columns, rows, 0})
}

// list returns head, then a list of n parameters behind the first from, then tail.
func (v *valueTexts) list(head string, from, n int, tail string) string {
	return v.get(valueKey{head, "", tail, n, 1, from})
}

func (v *valueTexts) get(key valueKey) string {
	v.mu.RLock()
	s, ok := v.texts[key]
	v.mu.RUnlock()
	if ok {
		return s
	}
	s = writeValues(key)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.texts[key] = s
	return s
}

func writeValues(k valueKey) string {
	var b strings.Builder
	b.WriteString(k.head)
	types := strings.Fields(k.casts)
	p := k.from
	for r := range k.rows {
		if r > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('(')
		for c := range k.columns {
			if c > 0 {
				b.WriteByte(',')
			}
			p++
			if r == 0 && len(types) > 0 { // the first row fixes the types of all
				b.WriteString("CAST($" + strconv.Itoa(p) + " AS " + types[c] + ")")
				continue
			}
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(p))
		}
		b.WriteByte(')')
	}
	b.WriteString(k.tail)
	return b.String()
}
