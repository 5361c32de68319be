package api

import (
	"encoding/json"
	"testing"
	"time"
)

func TestTagsAreTextOrObjects(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want Tag
		ok   bool
	}{
		{`"key:value"`, Tag{"key", "value"}, true},
		{`" key : a:b "`, Tag{"key", "a:b"}, true},
		{`"key:"`, Tag{"key", ""}, true},
		{`{"key":" k ","value":"v "}`, Tag{" k ", "v "}, true},
		{`"no colon"`, Tag{}, false},
		{`{"key":"k"}`, Tag{}, false},
		{`{"value":"v"}`, Tag{}, false},
		{`7`, Tag{}, false},
	} {
		var got Tag
		err := json.Unmarshal([]byte(c.in), &got)
		if got != c.want && c.ok || (err == nil) != c.ok {
			t.Errorf("%s: %+v, %v", c.in, got, err)
		}
	}
	b, err := json.Marshal([]Tag{{"quote", `"\`}})
	if err != nil || string(b) != `["quote:\"\\"]` {
		t.Errorf("%s %v", b, err)
	}
}

func TestTimesHaveANumericOffset(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"2026-11-22T06:50:48.382999Z":    `"2026-11-22T06:50:48.382+00:00"`,
		"2026-11-22T06:50:48.320Z":       `"2026-11-22T06:50:48.32+00:00"`,
		"2026-11-22T06:50:48+09:00":      `"2026-11-22T06:50:48+09:00"`,
		"2026-11-22T06:50:48.000000001Z": `"2026-11-22T06:50:48+00:00"`,
	} {
		at, err := time.Parse(time.RFC3339Nano, in)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(Time{at})
		if err != nil || string(b) != want {
			t.Errorf("%s: %s %v", in, b, err)
		}
		var back Time
		if err := json.Unmarshal(b, &back); err != nil || !back.Time.Equal(at.Truncate(time.Millisecond)) {
			t.Errorf("%s: back %s %v", in, back, err)
		}
	}
}

func TestQuantitiesAreTextOrNumbers(t *testing.T) {
	t.Parallel()
	var got map[string]Quantity
	if err := json.Unmarshal([]byte(`{"cpu":0.5,"memory":"1Gi","gpu":2}`), &got); err != nil {
		t.Fatal(err)
	}
	if got["cpu"] != "0.5" || got["memory"] != "1Gi" || got["gpu"] != "2" {
		t.Errorf("%v", got)
	}
	if err := json.Unmarshal([]byte(`{"cpu":true}`), &got); err == nil {
		t.Error("a truth value is no quantity")
	}
}
