package weft

import "time"

// TimeLayout is how a time is written on the wire and in knit#timestamp: at most
// milliseconds, trailing zeros dropped, the offset always numeric and never Z.
const TimeLayout = "2006-01-02T15:04:05.999-07:00"

const timeAdvice = "write it as RFC 3339 with a zone, like 2026-11-22T06:50:48.382+00:00"

// FormatTime writes t in TimeLayout, in UTC.
func FormatTime(t time.Time) string { return t.UTC().Truncate(time.Millisecond).Format(TimeLayout) }

// ParseTime reads RFC 3339 with up to nanoseconds; the zone is required.
func ParseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, Errorf(Invalid, "%q is not a time", s).
			WithAdvice(timeAdvice)
	}
	return t.UTC(), nil
}
